"""A pool is the same thing in the values, at the gateway, in Kubernetes and for KEDA."""

import subprocess
from typing import Any

import pytest
import yaml

from shoal.options.values import parse_nodes, parse_pool_patience


def values_of(chart: Any, cases: Any, case: str) -> dict[str, Any]:
    values, more = cases[case]
    read: dict[str, Any] = yaml.safe_load((chart / values).read_text())
    return {**read, **more}


@pytest.fixture(scope="session")
def pools(chart, cases, case) -> dict[str, Any]:
    return dict(values_of(chart, cases, case).get("pools", {}))


@pytest.fixture(scope="session")
def scaled(case) -> bool:
    return case not in {"cpu", "bare"}


def by_pool(objects: Any, kind: str) -> dict[str, Any]:
    found = objects.of(kind, "engine")
    return {
        each["metadata"]["labels"]["shoal/pool"]: each for each in found if "shoal/pool" in each["metadata"]["labels"]
    }


def said(objects: Any, variable: str) -> list[str]:
    """The items of a variable of the gateway that has several."""
    [deployment] = objects.of("Deployment", "gateway")
    told = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    return [item for each in told if each["name"] == variable for item in each["value"].split()]


def test_pools_are_called_the_same_everywhere(objects, pools, scaled) -> None:
    nodes = parse_nodes(said(objects, "SHOAL_NODES"))
    assert nodes.keys() == pools.keys()
    for kind in ("Deployment", "Service"):
        assert by_pool(objects, kind).keys() == pools.keys()
    assert by_pool(objects, "ScaledObject").keys() == (pools.keys() if scaled else set())
    for pool in pools:
        service = by_pool(objects, "Service")[pool]
        [port] = service["spec"]["ports"]
        assert nodes[pool] == (f"dns+http://{service['metadata']['name']}:{port['port']}",)
        assert service["spec"]["clusterIP"] == "None"
        deployment = by_pool(objects, "Deployment")[pool]
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert labels.items() >= service["spec"]["selector"].items()
        assert deployment["spec"]["selector"]["matchLabels"] == service["spec"]["selector"]
        assert labels["shoal/pool"] == pool


def test_selectors_of_two_pools_and_the_gateway_choose_none_of_each_other(everything) -> None:
    selectors = [each["spec"]["selector"]["matchLabels"] for each in everything.of("Deployment")]
    labels = [each["spec"]["template"]["metadata"]["labels"] for each in everything.of("Deployment")]
    assert len(selectors) == 3
    for number, selector in enumerate(selectors):
        assert [number] == [n for n, one in enumerate(labels) if one.items() >= selector.items()]


def test_a_gpu_is_asked_for_where_there_is_one(objects, pools) -> None:
    for pool, values in pools.items():
        spec = by_pool(objects, "Deployment")[pool]["spec"]["template"]["spec"]
        [engine] = spec["containers"]
        device = next(each["value"] for each in engine["env"] if each["name"] == "SHOAL_DEVICE")
        threads = [each for each in engine["env"] if each["name"] == "SHOAL_THREADS"]
        limits = engine["resources"].get("limits", {})
        if values["accelerator"] == "cpu":
            assert (device, limits.get("nvidia.com/gpu")) == ("cpu", None)
            [counted] = threads
            assert counted["valueFrom"]["resourceFieldRef"]["resource"] == "requests.cpu"
            assert engine["image"].endswith("-cpu")
        else:
            assert (device, limits["nvidia.com/gpu"], threads) == ("cuda:0", "1", [])
            assert engine["resources"]["requests"]["nvidia.com/gpu"] == "1"
            assert spec["nodeSelector"]["shoal/pool"] == values["nodeSelector"]["shoal/pool"]
            assert any(each.get("key") == "nvidia.com/gpu" for each in spec["tolerations"])
            assert engine["image"].endswith("-cuda")


def test_a_budget_guards_every_pool_and_the_gateway(objects, pools) -> None:
    guarded = [each["spec"] for each in objects.of("PodDisruptionBudget")]
    assert len(guarded) == len(pools) + 1
    for deployment in objects.of("Deployment"):
        [budget] = [each for each in guarded if each["selector"] == deployment["spec"]["selector"]]
        assert budget["maxUnavailable"] == 1  # not minAvailable, by which a lone pod could never be moved


def test_whoever_is_scaled_has_no_replicas(objects, scaled, case) -> None:
    for deployment in objects.of("Deployment", "engine"):
        assert ("replicas" in deployment["spec"]) is (not scaled)
        assert deployment["spec"].get("replicas") != 0
    [gateway] = objects.of("Deployment", "gateway")
    [*autoscalers] = objects.of("HorizontalPodAutoscaler")
    assert ("replicas" in gateway["spec"]) is (not autoscalers)
    assert gateway["spec"].get("replicas", 1) >= 1
    for autoscaler in autoscalers:
        assert autoscaler["spec"]["minReplicas"] >= 1
        assert autoscaler["spec"]["scaleTargetRef"]["name"] == gateway["metadata"]["name"]


def test_keda_scales_by_demand_and_takes_silence_for_what_it_is(objects, pools) -> None:
    for pool, each in by_pool(objects, "ScaledObject").items():
        spec, values = each["spec"], pools[pool]
        assert spec["scaleTargetRef"] == {
            "apiVersion": "apps/v1", "kind": "Deployment",
            "name": by_pool(objects, "Deployment")[pool]["metadata"]["name"],
        }  # fmt: skip
        assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (values["min"], values["max"])
        assert spec["cooldownPeriod"] == values.get("cooldown", 600)
        [trigger] = spec["triggers"]
        told = trigger["metadata"]
        assert told["query"] == f'sum(shoal_gateway_pool_demand{{namespace="shoal",pool="{pool}"}})'
        assert (told["ignoreNullValues"], told["activationThreshold"]) == ("false", "0")
        assert told["threshold"] == str(values.get("targetDemand", 16))
        assert trigger["metricType"] == "AverageValue"


def test_a_pool_that_may_rest_has_no_fallback_and_a_warm_one_never_falls_below_its_least(
    everything, cases, render
) -> None:
    found = by_pool(everything, "ScaledObject")
    assert "fallback" not in found["idle"]["spec"]
    assert found["warm"]["spec"]["fallback"] == {
        "failureThreshold": 3,
        "replicas": 2,
        "behavior": "currentReplicasIfHigher",
    }
    [usual] = render(more={"pools": {"warm": cases["everything"][1]["pools"]["warm"]}}).of("ScaledObject")
    assert "fallback" not in usual["spec"]


def test_a_request_waits_longer_than_it_takes_to_be_seen(objects, pools) -> None:
    patience, of_pools = parse_pool_patience(said(objects, "SHOAL_POOL_PATIENCE"))
    monitors = {each["metadata"]["name"]: each for each in objects.of("PodMonitor")}
    for pool, each in by_pool(objects, "ScaledObject").items():
        [endpoint] = monitors["shoal-gateway"]["spec"]["podMetricsEndpoints"]
        seen = int(endpoint["interval"].removesuffix("s")) + each["spec"]["pollingInterval"]
        if pools[pool]["min"] == 0:
            assert of_pools.get(pool, patience) >= 2 * seen


def test_every_zone_gets_its_share(objects) -> None:
    for deployment in objects.of("Deployment"):
        constraints = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
        assert {each["topologyKey"] for each in constraints} == {
            "topology.kubernetes.io/zone",
            "kubernetes.io/hostname",
        }
        for each in constraints:
            assert each["labelSelector"] == deployment["spec"]["selector"]
            assert each["whenUnsatisfiable"] == "ScheduleAnyway"  # a pool that wakes takes the zone that has a machine


def test_the_test_pod_asks_for_these_pools(objects, pools) -> None:
    [pod] = objects.of("Pod")
    [container] = pod["spec"]["containers"]
    script, url, *asked = container["args"]
    assert asked == sorted(pools)
    [service] = objects.of("Service", "gateway")
    assert url == f"http://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}/health/ready"
    compile(script, "test", "exec")


def test_the_test_pod_passes_a_gateway_that_knows_the_pools_and_fails_others(everything) -> None:
    import http.server
    import threading

    class Ready(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"status":"ready","pools":{"warm":{},"idle":{}}}'
            self.send_response(200 if self.path == "/health/ready" else 503)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    [pod] = everything.of("Pod")
    script = pod["spec"]["containers"][0]["args"][0]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ready) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_address[1]}/health/"

        def run(*words: str) -> int:
            return subprocess.run(["python3", "-c", script, *words], capture_output=True, check=False).returncode

        assert run(f"{base}ready", "idle", "warm") == 0
        assert run(f"{base}ready", "idle", "other") != 0
        assert run(f"{base}unready", "idle") != 0
        server.shutdown()
