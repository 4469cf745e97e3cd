"""Every module and example is well-formed, valid, and does what its own tests say."""

import functools
import json
import subprocess
from pathlib import Path

import pytest
import yaml

from shoal.options.values import parse_nodes

ROOT = Path(__file__).parents[3]
MODULES = ["modules/gpu-pools", "aws", "gcp"]
EXAMPLES = [f"{cloud}/examples/{name}" for cloud in ("aws", "gcp") for name in ("dev-l4-spot", "prod-mixed")]


pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def told(terraform_in):
    """What a module's own tests say, event by event, with the state after each."""

    def events(folder: str) -> list[dict]:
        done = terraform_in(folder).run("test", "-json", "-verbose", timeout=240)
        return [json.loads(line) for line in done.stdout.splitlines()]

    return functools.cache(events)


@pytest.fixture(scope="module", params=["aws", "gcp"])
def state(told, request) -> tuple[str, dict]:
    """The cloud, and what stands there after the tests' first run."""
    first = next(event for event in told(request.param) if event["type"] == "test_state")
    return request.param, first["test_state"]


@pytest.fixture(scope="module")
def rendered(state, helm, tmp_path_factory) -> list[dict]:
    """The chart, with its values for the cloud and Terraform's on top, as the README has it."""
    cloud, stands = state
    values = tmp_path_factory.mktemp("values") / "terraform.yaml"
    values.write_text(stands["outputs"]["helm_values"]["value"])
    chart = ROOT / "deploy" / "helm" / "shoal"
    files = ["-f", chart / f"values-{ {'aws': 'aws', 'gcp': 'gke'}[cloud] }.yaml", "-f", values]
    command = [helm, "template", "shoal", chart, "-n", "shoal", "--kube-version", "1.33", *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.load_all(done.stdout, yaml.CSafeLoader))


def test_all_folders_are_known_here(tree) -> None:
    found = {str(file.parent.relative_to(tree)) for file in tree.rglob("versions.tf") if ".terraform" not in file.parts}
    assert found == {*MODULES, *EXAMPLES}


def test_files_are_formatted(program, terraform_in) -> None:
    done = terraform_in("modules/gpu-pools").run("fmt", "-check", "-recursive", "-diff", str(ROOT / "deploy/terraform"))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("folder", [*MODULES, *EXAMPLES])
def test_folder_is_valid(folder, terraform_in) -> None:
    terraform_in(folder).do("validate")


@pytest.mark.parametrize("folder", MODULES)
def test_module_passes_its_own_tests(folder, told) -> None:
    events = told(folder)
    summary = events[-1]["test_summary"]
    assert summary["status"] == "pass", [
        event["@message"] + str(event.get("diagnostic", {}).get("detail", ""))
        for event in events
        if event["@level"] == "error"
    ]
    [found] = [event["test_abstract"] for event in events if event["type"] == "test_abstract"]
    assert summary["passed"] == sum(map(len, found.values())) > 9


def test_an_unknown_argument_is_found(terraform_in, tmp_path, copied) -> None:
    """So that a provider that lets anything pass is noticed."""
    terraform = terraform_in("gcp")
    wrong = terraform.folder / "wrong.tf"
    wrong.write_text('resource "google_storage_bucket" "wrong" {\n  nam = "x"\n}\n')
    try:
        done = terraform.run("validate", "-no-color")
    finally:
        wrong.unlink()
    assert done.returncode == 1
    assert 'An argument named "nam" is not expected here' in done.stderr


def test_pools_have_one_name_in_terraform_chart_and_gateway(state, rendered) -> None:
    cloud, stands = state
    kind = {"aws": "aws_eks_node_group", "gcp": "google_container_node_pool"}[cloud]
    groups = {
        one["index"]: one["values"]
        for one in stands["root_module"]["resources"]
        if one["type"] == kind and one["name"] == "gpu"
    }
    engines = {
        one["metadata"]["labels"]["shoal/pool"]: one["spec"]["template"]["spec"]
        for one in rendered
        if one["kind"] == "Deployment" and "shoal/pool" in one["metadata"]["labels"]
    }
    [gateway] = [
        one["spec"]["template"]["spec"]
        for one in rendered
        if one["kind"] == "Deployment" and one["metadata"]["labels"]["app.kubernetes.io/component"] == "gateway"
    ]
    [nodes] = [each["value"].split() for each in gateway["containers"][0]["env"] if each["name"] == "SHOAL_NODES"]
    assert groups.keys() == engines.keys() == parse_nodes(nodes).keys() == {"l4", "h100"}
    for pool, engine in engines.items():
        node = groups[pool] if cloud == "aws" else groups[pool]["node_config"][0]
        assert engine["nodeSelector"].items() <= node["labels"].items()
        assert {taint["key"] for taint in node["taint"]} <= {one["key"] for one in engine["tolerations"]}
        assert engine["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"


def test_pods_are_who_terraform_lets_in(state, rendered) -> None:
    """Identities are bound to service accounts by name: another name, and a pod may do nothing."""
    cloud, stands = state
    accounts = {one["metadata"]["name"]: one["metadata"] for one in rendered if one["kind"] == "ServiceAccount"}
    resources = stands["root_module"]["resources"]
    if cloud == "aws":
        bound = [one["values"] for one in resources if one["type"] == "aws_eks_pod_identity_association"]
        [gateway] = [one for one in bound if one["namespace"] == "shoal"]
        assert gateway["service_account"] in accounts
    else:
        [engine] = [one["values"] for one in resources if one["type"] == "google_service_account_iam_member"]
        assert engine["member"].endswith("[shoal/shoal-engine]")
        assert accounts["shoal-engine"]["annotations"]["iam.gke.io/gcp-service-account"]


def test_engines_see_the_bucket_of_models(state, rendered) -> None:
    for one in rendered:
        if one["kind"] == "Deployment" and "shoal/pool" in one["metadata"]["labels"]:
            pod = one["spec"]["template"]["spec"]
            mounts = {mount["name"]: mount for mount in pod["containers"][0]["volumeMounts"]}
            assert mounts["models"]["mountPath"] == "/models"
            assert mounts["models"]["readOnly"] is True
            assert "models" in {volume["name"] for volume in pod["volumes"]}


def test_the_gateway_reads_the_secret_that_terraform_writes(state, rendered) -> None:
    _, stands = state
    written = next(
        one for one in yaml.safe_load_all(stands["outputs"]["kubernetes_objects"]["value"]) if one["kind"] == "Secret"
    )
    read = [
        source["valueFrom"]["secretKeyRef"]
        for one in rendered
        if one["kind"] == "Deployment"
        for container in one["spec"]["template"]["spec"]["containers"]
        for source in container.get("env", [])
        if "secretKeyRef" in source.get("valueFrom", {})
    ]
    assert {one["name"] for one in read} == {written["metadata"]["name"]}
    assert {one["key"] for one in read if not one.get("optional")} <= written["stringData"].keys()
    assert written["stringData"].keys() <= {one["key"] for one in read}
