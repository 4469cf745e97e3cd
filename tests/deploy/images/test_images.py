"""The chart's own pods, of images that are built here: they serve, may do nothing else, and drop no request at last."""

import base64
import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

ROOT = Path(__file__).parents[3]
HELM = ROOT / ".tools" / "helm4" / "helm"
RUNTIME = Path(__file__).parent / "runtime"
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
VALUES = {
    "image": {"pullPolicy": "Never"},
    "gateway": {
        "drainDelay": 2,
        "gracePeriod": 100,
        "resources": {"requests": {"cpu": "1"}, "limits": {"memory": "2Gi"}},
    },
    "engine": {"gracePeriod": 100},
}
SECRETS = ("SHOAL_ENGINE_SECRET", "SHOAL_METRICS_KEY", "SHOAL_SESSION_KEY", "SHOAL_SECRET_KEY")
METRICS_KEY = "m" * 40
LARGEST_GATEWAY = 300e6
"""Bytes on top of the base; with torch it would be three times as much."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


@dataclass(frozen=True)
class Pods:
    """The gateway and its one engine."""

    containers: Any
    gateway: str
    engine: str
    base_url: str

    def ask(self, texts: list[str], key: str) -> httpx.Response:
        """Embed."""
        body = {"model": "minilm", "input": texts}
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.post(f"{self.base_url}/v1/embeddings", json=body, headers=headers, timeout=150)

    def status(self, path: str) -> int:
        """0 where nobody answers."""
        try:
            return httpx.get(self.base_url + path, timeout=5).status_code
        except httpx.TransportError:
            return 0

    def shoal(self, *words: str) -> str:
        """A command of the operator's, as the chart's notes run it."""
        said: str = self.containers.podman("exec", self.gateway, "shoal", *words)
        return said


def until(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def pod_of(deployment: dict[str, Any], hosts: Mapping[str, str]) -> dict[str, Any]:
    """A Deployment's pod as this podman plays it.

    It repeats what runs before a container unless the pod is never restarted, asks by a curl that images have not,
    publishes every port on this machine, and keeps volumes of all pods together by name.
    """
    template = json.loads(json.dumps(deployment["spec"]["template"]))
    name = deployment["metadata"]["name"]
    spec = template["spec"]
    spec["restartPolicy"] = "Never"
    spec["hostAliases"] = [{"ip": address, "hostnames": [host]} for host, address in hosts.items()]
    for container in (*spec.get("initContainers", ()), *spec["containers"]):
        for probe in ("startupProbe", "livenessProbe", "readinessProbe", "ports"):
            container.pop(probe, None)
        for mount in container["volumeMounts"]:
            mount["name"] = f"{name}-{mount['name']}"
    for volume in spec["volumes"]:
        volume["name"] = f"{name}-{volume['name']}"
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {**template["metadata"], "name": name}, "spec": spec}


def claims_of(pod: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What a cluster has for `persistentVolumeClaim`."""
    for volume in pod["spec"]["volumes"]:
        if claim := volume.get("persistentVolumeClaim"):
            yield {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": claim["claimName"]},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
            }


@pytest.fixture(scope="module")
def rendered(
    images: Mapping[str, str], registry: str, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    """What the chart renders for a machine without GPUs."""
    if not HELM.is_file():
        pytest.skip("The chart's pods are not run: no Helm here; `make deploy-tools` brings it")
    folder = tmp_path_factory.mktemp("chart")
    more = folder / "more.json"
    more.write_text(json.dumps({**VALUES, "image": {**VALUES["image"], "registry": registry}}))
    chart = ROOT / "deploy" / "helm" / "shoal"
    words = [HELM, "template", "shoal", chart, "-f", chart / "values-cpu.yaml", "-f", more, "--kube-version", "1.33"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60, env={"HOME": str(folder)})
    return [each for each in yaml.load_all(done.stdout, yaml.CSafeLoader) if each]


@pytest.fixture(scope="module")
def pods(containers, rendered, tmp_path_factory) -> Iterator[Pods]:
    folder = tmp_path_factory.mktemp("pods")
    secret = folder / "secret.json"
    said = {name: METRICS_KEY if "METRICS" in name else name[-1] * 40 for name in SECRETS}
    secret.write_text(json.dumps({name: base64.b64encode(value.encode()).decode() for name, value in said.items()}))
    containers.podman("secret", "create", "shoal", secret)

    def play(part: str, **hosts: str) -> str:
        """Run one of the Deployments; its pod's address."""
        [deployment] = [
            each
            for each in rendered
            if each["kind"] == "Deployment" and each["metadata"]["labels"]["app.kubernetes.io/component"] == part
        ]
        pod = pod_of(deployment, {name.replace("_", "-"): address for name, address in hosts.items()})
        file = folder / f"{part}.yaml"
        file.write_text(yaml.safe_dump_all([*claims_of(pod), pod]))
        containers.podman("kube", "play", file, timeout=120)
        infra = json.loads(containers.podman("pod", "inspect", pod["metadata"]["name"]))["InfraContainerID"]
        networks = containers.inspect(infra)["NetworkSettings"]["Networks"].values()
        [address] = [network["IPAddress"] for network in networks]
        return str(address)

    engine = play("engine")
    gateway = play("gateway", shoal_engine_default=engine)
    opened = Pods(containers, "shoal-gateway-gateway", "shoal-engine-default-engine", f"http://{gateway}:8080")
    until(lambda: opened.status("/health/ready") == 200, "the gateway is not ready")
    yield opened
    containers.sweep()


@pytest.fixture(scope="module")
def key(pods) -> str:
    """A tenant's, made as the chart's notes say."""
    pods.shoal("operator", "create", "admin")
    pods.shoal("tenant", "create", "acme")
    pods.shoal("allow", "add", "*", "--tenant", "acme")
    pods.shoal("model", "add", MODEL, "--alias", "minilm", "--unchecked")
    made: str = json.loads(pods.shoal("key", "create", "--tenant", "acme", "--json"))["key"]
    until(lambda: pods.ask(["."], made).status_code != 401, "the gateway does not follow", 10)
    return made


def python(containers: Any, image: str, program: str) -> str:
    """What a program says in an image."""
    words = ("run", "--rm", "--network", "host", "--read-only", "--entrypoint", "python3", image, "-c", program)
    said: str = containers.podman(*words)
    return said.strip()


def check_of(image: dict[str, Any]) -> list[str]:
    """The words of its health check."""
    kind, *words = (image.get("Healthcheck") or image["HealthCheck"])["Test"]
    assert kind == "CMD"
    return words


def test_images_say_what_they_are_and_run_as_nobody_special(containers, images) -> None:
    for part, image in images.items():
        found = containers.inspect(image)
        config = found["Config"]
        labels = {
            name.rpartition(".")[2]: value for name, value in config["Labels"].items() if "opencontainers" in name
        }
        assert labels.keys() == {"title", "description", "version", "revision", "licenses"}
        assert (labels["title"], labels["version"]) == (f"shoal-{part}", version("shoal-server"))
        assert len(labels["revision"]) == 40
        assert config["User"] == "10001:10001"
        assert (config["Entrypoint"], config["Cmd"]) == (["shoal"], [part])
        assert config["StopSignal"] in {"SIGTERM", "15"}
        assert check_of(found)[0] == "python3"


def test_a_gateway_has_no_torch_and_is_small(containers, images, base) -> None:
    found = python(containers, images["gateway"], "from importlib.util import find_spec; print(find_spec('torch'))")
    assert found == "None"
    on_top = containers.inspect(images["gateway"])["Size"] - containers.inspect(base)["Size"]
    assert 0 < on_top < LARGEST_GATEWAY


def test_what_is_in_an_image_is_pinned_and_can_be_listed(containers, images) -> None:
    lines = (ROOT / "constraints.txt").read_text().lower().replace("_", "-").split()
    program = "import importlib.metadata as m; print(*(f'{each.name}=={each.version}' for each in m.distributions()))"
    for part, image in images.items():
        named = python(containers, image, program).lower().replace("_", "-").split()
        said = {each.partition("+")[0] for each in named}
        own = {f"shoal-server=={version('shoal-server')}"}
        assert own <= said
        unpinned = {each for each in said - own if each not in lines}
        assert not unpinned
        assert not any(each.startswith(("pip==", "wheel==", "hatchling==")) for each in said)
        assert ("torch" in " ".join(said)) == (part == "engine")


def test_a_first_process_is_ended_while_it_starts(containers, images) -> None:
    """The kernel gives it no signal that it does not handle, and its server does not yet."""
    words = ("--env", "SHOAL_ENGINE_SECRET=secret", "--network", "none", images["engine"])
    container = containers.podman("run", "--detach", *words).strip()
    until(lambda: "shoal" in containers.podman("top", container, "args"), "it does not start")
    time.sleep(0.6)  # Python is up, torch is not
    began = time.monotonic()
    containers.podman("stop", "--time", "20", container)
    assert time.monotonic() - began < 10
    assert containers.inspect(container)["State"]["ExitCode"] in {0, 143}


def test_pods_serve_an_embedding(pods, key) -> None:
    reply = pods.ask(["Herring swim in shoals."], key)
    assert reply.status_code == 200, reply.text
    [entry] = reply.json()["data"]
    assert len(entry["embedding"]) == 384
    assert reply.json()["usage"]["total_tokens"] == 8


def test_they_may_write_where_something_is_mounted_and_do_nothing_else(pods) -> None:
    for container, mounts in ((pods.gateway, ("/tmp", "/data")), (pods.engine, ("/tmp", "/cache"))):
        status = pods.containers.podman("exec", container, "cat", "/proc/1/status").split("\n")
        said = {name: value.split() for name, _, value in (line.partition(":") for line in status)}
        assert said["Uid"] == ["10001"] * 4
        assert [int(said[name][0], 16) for name in ("CapEff", "CapPrm", "CapBnd")] == [0, 0, 0]
        assert said["NoNewPrivs"] == ["1"]
        for folder in mounts:
            pods.containers.podman("exec", container, "touch", f"{folder}/written")
        for folder in ("/", "/app", "/etc", "/var/tmp", "/run"):
            refused = pods.containers.run(
                "podman", "--runtime", RUNTIME, "exec", container, "touch", f"{folder}/written"
            )
            assert "Read-only file system" in refused.stderr or "Permission denied" in refused.stderr, folder


def test_the_health_check_of_an_image_tells_an_answer_from_none(pods, images) -> None:
    for part, container, port in (("gateway", pods.gateway, "8080"), ("engine", pods.engine, "9000")):
        check = check_of(pods.containers.inspect(images[part]))
        pods.containers.podman("exec", "--env", f"SHOAL_PORT={port}", container, *check)
        asked = ("podman", "--runtime", RUNTIME, "exec", "--env", "SHOAL_PORT=1", container, *check)
        assert pods.containers.run(*asked).returncode == 1


def test_the_test_of_the_chart_passes_inside_a_gateway(pods, rendered) -> None:
    [test] = [each for each in rendered if each["kind"] == "Pod"]
    [container] = test["spec"]["containers"]
    program, _, *pools = container["args"]
    assert pools == ["default"]
    here = "http://127.0.0.1:8080/health/ready"
    said = pods.containers.podman("exec", pods.gateway, *container["command"], program, here, *pools)
    assert json.loads(said)["pools"]["default"] == {"nodes": 1, "healthy": 1}


# The last: it ends them.
def test_sigterm_drops_no_request_and_both_end_with_status_0(pods, key) -> None:
    texts = [f"{number} " + "herring swim in shoals " * 40 for number in range(48)]
    with ThreadPoolExecutor() as threads:
        asked = threads.submit(pods.ask, texts, key)
        at_a_node = 'shoal_gateway_pool_inflight{pool="default"} 1.0'
        metrics = {"Authorization": f"Bearer {METRICS_KEY}"}
        until(lambda: at_a_node in httpx.get(f"{pods.base_url}/metrics", headers=metrics).text, "it reached no node")
        began = time.monotonic()
        words = ("stop", "--time", "130")
        stopped = [
            threads.submit(pods.containers.podman, *words, each, timeout=150) for each in (pods.gateway, pods.engine)
        ]
        until(lambda: pods.status("/health/ready") == 503, "the gateway says nothing of its end", 30)
        assert not asked.done(), "the request was not in flight: it ended before the signal came"
        reply = asked.result(150)
        assert reply.status_code == 200, reply.text
        assert len(reply.json()["data"]) == len(texts)
        for each in stopped:
            each.result(150)
    assert time.monotonic() - began < 120  # its grace period and delay, and not podman's patience
    for container in (pods.gateway, pods.engine):
        assert pods.containers.inspect(container)["State"]["ExitCode"] == 0
