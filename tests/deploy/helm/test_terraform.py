"""A pool of Terraform's is the same pool in the chart, at the gateway and on the node."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shoal.options.values import parse_nodes

POOLS = {
    "l4": {"accelerator": "l4", "max": 4},
    "large": {"accelerator": "h100", "gpus": 8, "min": 1, "max": 2, "disk": 1000},
    "spare": {"accelerator": "a100", "gpus": 8, "max": 1, "spot": True, "disk": 800},
}


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Any]]:
    """The outputs of the module of pools, which needs no provider."""
    program = shutil.which("terraform")
    if program is None:
        missing = "Terraform's pools are not held against the chart's: no terraform here"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)

    def outputs(cloud: str) -> dict[str, Any]:
        folder = tmp_path_factory.mktemp(cloud)
        source = Path(__file__).parents[3] / "deploy" / "terraform" / "modules" / "gpu-pools"
        shutil.copytree(source, folder / "gpu-pools", ignore=shutil.ignore_patterns(".terraform*", "tests"))
        shown = {name: {"value": f"${{module.pools.{name}}}"} for name in ("nodes", "chart_pools")}
        module = {"source": "./gpu-pools", "cloud": cloud, "pools": POOLS}
        (folder / "main.tf.json").write_text(json.dumps({"module": {"pools": module}, "output": shown}))

        def terraform(*words: str) -> str:
            environment = {
                "PATH": os.environ["PATH"],
                "HOME": str(folder),
                "TF_CLI_CONFIG_FILE": os.devnull,
                "CHECKPOINT_DISABLE": "1",
            }
            done = subprocess.run(
                [program, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60
            )
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout

        terraform("init", "-backend=false", "-input=false")
        terraform("apply", "-auto-approve", "-input=false")
        return {name: each["value"] for name, each in json.loads(terraform("output", "-json")).items()}

    return outputs


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_pools_of_terraform_the_chart_and_the_gateway_are_the_same(applied, render, cloud) -> None:
    outputs = applied(cloud)
    values = {"aws": "values-aws.yaml", "gcp": "values-gke.yaml"}[cloud]
    objects = render(values, {"pools": outputs["chart_pools"]})
    gateway = objects.one("Deployment", "shoal-gateway")["spec"]["template"]["spec"]["containers"][0]
    [nodes] = [each["value"].split() for each in gateway["env"] if each["name"] == "SHOAL_NODES"]
    assert POOLS.keys() == outputs["nodes"].keys() == parse_nodes(nodes).keys()
    assert {each["metadata"]["name"] for each in objects.of("ScaledObject")} == {
        f"shoal-engine-{name}" for name in POOLS
    }
    for name, machine in outputs["nodes"].items():
        pod = objects.one("Deployment", f"shoal-engine-{name}")["spec"]["template"]["spec"]
        assert machine["labels"].items() >= pod["nodeSelector"].items()
        taint = machine["taint"]
        assert any(
            each["key"] == taint["key"] and each["effect"] == taint["effect"] and each["operator"] == "Exists"
            for each in pod["tolerations"]
        )
        scaled = objects.one("ScaledObject", f"shoal-engine-{name}")["spec"]
        of_pool = POOLS[name]
        gpus = of_pool.get("gpus", 1)
        assert (scaled["minReplicaCount"], scaled["maxReplicaCount"]) == (
            of_pool.get("min", 0) * gpus,
            of_pool["max"] * gpus,
        )
