"""The chart, rendered by real Helms."""

import functools
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
CHART = ROOT / "deploy" / "helm" / "shoal"

L4 = {
    "l4": {
        "accelerator": "l4",
        "gpusPerNode": 1,
        "min": 0,
        "max": 4,
        "nodeSelector": {"shoal/pool": "l4"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "resources": {
            "requests": {"cpu": "6", "memory": "24Gi", "nvidia.com/gpu": "1"},
            "limits": {"memory": "24Gi", "nvidia.com/gpu": "1"},
        },
        "cacheSize": "120Gi",
    }
}
"""A pool as Terraform's output `helm_values` has it."""
EVERYTHING = {
    "pools": {
        "idle": {
            "accelerator": "h100",
            "gpusPerNode": 8,
            "min": 0,
            "max": 16,
            "nodeSelector": {"shoal/pool": "idle"},
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
            "resources": {"requests": {"cpu": "8", "nvidia.com/gpu": "1"}, "limits": {"nvidia.com/gpu": "1"}},
            "cacheSize": "500Gi",
            "memoryBudget": "60GiB",
            "patience": 90,
            "targetDemand": 64,
            "cooldown": 1200,
            "env": {"SHOAL_EVICTION": "gdsf"},
        },
        "warm": {
            "accelerator": "cpu",
            "gpusPerNode": 0,
            "min": 2,
            "max": 3,
            "resources": {"requests": {"cpu": "1500m", "memory": "4Gi"}},
            "cacheSize": "20Gi",
        },
    },
    "image": {"registry": "registry.example.org/shoal", "pullSecrets": [{"name": "registry"}]},
    "gateway": {
        "autoscaling": {"enabled": True},
        "image": {"digest": "sha256:" + "a" * 64},
        "workers": 2,
        "env": {"SHOAL_FILES": "s3://files", "SHOAL_MAX_CONNECTIONS": 2000, "HTTPS_PROXY": "http://proxy:3128"},
        "trustedAuthorities": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "priorityClassName": "high",
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
        "tolerations": [{"operator": "Exists"}],
        "podAnnotations": {"example.org/a": "b"},
        "service": {"type": "LoadBalancer", "annotations": {"example.org/a": "b"}},
        "serviceAccount": {"annotations": {"iam.gke.io/gcp-service-account": "a@b.iam.gserviceaccount.com"}},
    },
    "ingress": {"enabled": True, "host": "shoal.example.org", "tlsSecret": "shoal-tls", "className": "nginx"},
    "engine": {
        "cache": {"kind": "ephemeral", "storageClass": "fast"},
        "env": {"SHOAL_IDLE_TIMEOUT": 600},
        "extraVolumes": [{"name": "models", "persistentVolumeClaim": {"claimName": "models"}}],
        "extraVolumeMounts": [{"name": "models", "mountPath": "/models", "readOnly": True}],
        "podAnnotations": {"gke-gcsfuse/volumes": "true"},
        "priorityClassName": "low",
        "runtimeClassName": "nvidia",
    },
    "autoscaling": {
        "authentication": {"name": "prometheus", "kind": "ClusterTriggerAuthentication", "modes": "bearer"},
        "fallback": {"enabled": True},
    },
    "networkPolicy": {
        "internet": {"gateway": True},
        "gatewayEgress": [{"to": [{"ipBlock": {"cidr": "169.254.170.23/32"}}], "ports": [{"port": 80}]}],
    },
    "monitoring": {"labels": {"release": "prometheus"}, "dashboards": {"annotations": {"folder": "Shoal"}}},
}
BARE = {
    "networkPolicy": {"enabled": False},
    "monitoring": {"enabled": False},
    "autoscaling": {"enabled": False},
    "pools": {"default": {**EVERYTHING["pools"]["idle"], "min": 0}},
    "engine": {"cache": {"kind": "hostPath", "path": "/mnt/models"}, "serviceAccount": {"create": False}},
}
CLAIMED = {"engine": {"cache": {"kind": "claim", "claim": "models"}}, "pools": EVERYTHING["pools"]}

CASES: dict[str, tuple[str, Mapping[str, Any]]] = {
    "default": ("values.yaml", {}),
    "aws": ("values-aws.yaml", {"pools": L4}),
    "gke": ("values-gke.yaml", {"pools": L4}),
    "cpu": ("values-cpu.yaml", {}),
    "everything": ("values.yaml", EVERYTHING),
    "bare": ("values.yaml", BARE),
    "claimed": ("values.yaml", CLAIMED),
}
"""What is rendered: a values file of the chart, and what is said on top of it."""


def missing(what: str) -> None:
    """Skip, and say what is not tested; in CI that is a failure."""
    pytest.fail(what) if os.environ.get("CI") else pytest.skip(what)


@dataclass(frozen=True)
class Helm:
    """One major version of it."""

    program: Path
    folder: Path

    def run(self, *words: str, values: str = "values.yaml", more: Mapping[str, Any] | None = None) -> Any:
        """What it did, `more` being said on top of a values file of the chart."""
        said = self.folder / "more.json"  # which is YAML
        said.write_text(json.dumps(more or {}))
        homes = {f"HELM_{kind}_HOME": str(self.folder / kind) for kind in ("CACHE", "CONFIG", "DATA")}
        command = [self.program, *words, "-f", CHART / values, "-f", said]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False, env={"PATH": os.environ["PATH"], **homes}
        )

    def text(self, values: str = "values.yaml", more: Mapping[str, Any] | None = None, namespace: str = "shoal") -> str:
        """All manifests."""
        done = self.run(
            "template", "shoal", str(CHART), "-n", namespace, "--kube-version", "1.33", values=values, more=more
        )
        assert done.returncode == 0, done.stderr
        return str(done.stdout)


class Rendered(list[dict[str, Any]]):
    """Objects, to look some of them up."""

    def of(self, kind: str, component: str | None = None) -> list[dict[str, Any]]:
        """All of a kind, or those of the gateway or of engines alone."""
        return [
            each
            for each in self
            if each["kind"] == kind
            and (component is None or each["metadata"]["labels"].get("app.kubernetes.io/component") == component)
        ]

    def one(self, kind: str, name: str) -> dict[str, Any]:
        """The one of that name."""
        [found] = [each for each in self.of(kind) if each["metadata"]["name"] == name]
        return found

    @property
    def pods(self) -> dict[str, dict[str, Any]]:
        """Templates of pods, and pods, by the name of what has them."""
        return {
            each["metadata"]["name"]: each if each["kind"] == "Pod" else each["spec"]["template"]
            for each in self
            if each["kind"] in {"Pod", "Deployment"}
        }


@pytest.fixture(scope="session")
def chart() -> Path:
    return CHART


@pytest.fixture(scope="session")
def shared() -> Path:
    found = ROOT.parent / "shared"
    if not found.is_dir():
        missing("KEDA's schemas are not here: ../shared/crds beside the repository")
    return found


@pytest.fixture(scope="session")
def helm_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Helm]:
    def found(major: int) -> Helm:
        program = ROOT / ".tools" / f"helm{major}" / "helm"
        if not program.is_file():
            missing(f"No Helm {major} here: `make deploy-tools` brings it")
        return Helm(program, tmp_path_factory.mktemp(f"helm{major}"))

    return functools.cache(found)


@pytest.fixture(scope="session", params=[4, 3], ids="helm{}".format)
def helm(helm_of: Callable[[int], Helm], request: pytest.FixtureRequest) -> Helm:
    return helm_of(request.param)


@pytest.fixture(scope="session")
def render(helm_of: Callable[[int], Helm]) -> Callable[..., Rendered]:
    def rendered(
        values: str = "values.yaml", more: Mapping[str, Any] | None = None, namespace: str = "shoal"
    ) -> Rendered:
        return Rendered(yaml.load_all(helm_of(4).text(values, more, namespace), yaml.CSafeLoader))

    return rendered


@pytest.fixture(scope="session")
def on_aws(render: Callable[..., Rendered]) -> Callable[..., Rendered]:
    """Rendered for AWS with a pool `l4`, and more values on top."""

    def rendered(more: Mapping[str, Any] | None = None, namespace: str = "shoal") -> Rendered:
        return render("values-aws.yaml", {"pools": L4, **(more or {})}, namespace)

    return rendered


@pytest.fixture(scope="session")
def cases() -> Mapping[str, tuple[str, Mapping[str, Any]]]:
    return CASES


@pytest.fixture(scope="session", params=CASES)
def case(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def objects(case: str, render: Callable[..., Rendered]) -> Rendered:
    """What each of the cases renders."""
    return render(*CASES[case])


@pytest.fixture(scope="session")
def everything(render: Callable[..., Rendered]) -> Rendered:
    return render(*CASES["everything"])


@pytest.fixture(scope="session")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        missing("Rules are not checked: no promtool here. On Debian: apt-get install prometheus")
    return str(found)
