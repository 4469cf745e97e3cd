"""The chart's pods as processes: a gateway, an engine and a real Prometheus, told what the rendered manifests say.

KEDA's queries, the alerts and the dashboards are asked of that Prometheus: at rest, under load, with what is behind
taken away, and with the gateway gone. Tests run in this order; the last ones leave nothing standing.
"""

import asyncio
import concurrent.futures
import contextlib
import json
import math
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import yaml
from keda import Keda
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.services.register import grants, keys, models, quotas, tenants
from gateway.services.register.audit import Actor
from shoal.database import change

pytestmark = pytest.mark.timeout(400)  # a machine with other things to do starts seven programs slowly

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
SECRETS = {
    "SHOAL_ENGINE_SECRET": "the-secret-of-these-nodes-and-gateways",
    "SHOAL_METRICS_KEY": "what-prometheus-shows",
    "SHOAL_SESSION_KEY": "s" * 40,
    "SHOAL_SECRET_KEY": "k" * 40,
}
POOL = {
    "accelerator": "cpu", "min": 0, "max": 8, "cacheSize": "1Gi", "targetDemand": 2,
    "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
}  # fmt: skip
VALUES = {
    "pools": {"default": POOL, "steered": POOL, "idle": {**POOL, "patience": 6}},
    "gateway": {"replicas": 2, "data": {"existingClaim": ""}},
    "autoscaling": {"enabled": True},
    "monitoring": {"enabled": True, "gatewayInterval": "1s", "engineInterval": "1s"},
}
"""`default` has a real engine, `steered` one that answers as it is told, `idle` none."""
RATE = "5m"


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def until(condition: Callable[[], Any], what: str, limit: float = 120.0) -> Any:
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if found := condition():
                return found
        time.sleep(0.1)
    pytest.fail(f"not within {limit} s: {what}")


def scrape_job(monitor: dict[str, Any], port: int, pod: str, container: str, pool: str | None) -> dict[str, Any]:
    """What the Prometheus operator makes of a PodMonitor, for one pod that it found."""
    [endpoint] = monitor["spec"]["podMetricsEndpoints"]
    renamed = {"sourceLabels": "source_labels", "targetLabel": "target_label"}
    labels = {"namespace": "shoal", "pod": pod, "container": container, "endpoint": endpoint["port"]}
    if pool is not None:
        labels["__meta_kubernetes_pod_label_shoal_pool"] = pool
    return {
        "job_name": f"shoal/{monitor['metadata']['name']}",
        "metrics_path": endpoint["path"],
        "scrape_interval": endpoint["interval"],
        "scrape_timeout": endpoint["interval"],
        "authorization": {"credentials": SECRETS[endpoint["authorization"]["credentials"]["key"]]},
        "relabel_configs": [
            {renamed.get(name, name): value for name, value in each.items()} for each in endpoint.get("relabelings", ())
        ],
        "static_configs": [{"targets": [f"127.0.0.1:{port}"], "labels": labels}],
    }


@dataclass
class Plant:
    """All of it, running."""

    objects: Any
    gateway: str
    engine: str
    prometheus: str
    database: str
    key: str
    processes: dict[str, Any]
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=60))

    def query(self, expression: str) -> list[dict[str, Any]]:
        reply = self.client.get(f"{self.prometheus}/api/v1/query", params={"query": expression})
        assert reply.status_code == 200, (expression, reply.text)
        found: list[dict[str, Any]] = reply.json()["data"]["result"]
        return found

    def values(self, expression: str) -> list[float]:
        return [float(each["value"][1]) for each in self.query(expression)]

    def alerts(self) -> dict[str, set[str]]:
        """Alerts whose expression holds, whether or not for long enough, with the pools that they name."""
        reply = self.client.get(f"{self.prometheus}/api/v1/alerts").json()["data"]["alerts"]
        found: dict[str, set[str]] = {}
        for alert in reply:
            found.setdefault(alert["labels"]["alertname"], set()).add(alert["labels"].get("pool", ""))
        return found

    def evaluated_rules(self) -> set[str]:
        """Names of the rules that gave no error when they were last evaluated; none that never were."""
        groups = self.client.get(f"{self.prometheus}/api/v1/rules").json()["data"]["groups"]
        return {rule["name"] for group in groups for rule in group["rules"] if rule["health"] == "ok"}

    def scaled(self, pool: str) -> dict[str, Any]:
        found: dict[str, Any] = self.objects.one("ScaledObject", f"shoal-engine-{pool}")
        return found

    def demand(self, pool: str) -> list[float]:
        """What KEDA's own query gives."""
        [trigger] = self.scaled(pool)["spec"]["triggers"]
        return self.values(trigger["metadata"]["query"])

    def embed(self, text: str = "herring", model: str = MODEL, patience: float = 60) -> int:
        reply = self.client.post(
            f"{self.gateway}/v1/embeddings", json={"model": model, "input": text},
            headers={"authorization": f"Bearer {self.key}", "x-stainless-timeout": str(patience)},
        )  # fmt: skip
        return reply.status_code


def expressions(chart: Path, *names: str) -> dict[str, str]:
    """Every Prometheus expression of these dashboards, by where it stands, with Grafana's variables filled in."""
    found = {}
    for name in names:
        for panel in json.loads((chart / "files" / "dashboards" / f"{name}.json").read_text())["panels"]:
            for target in panel["targets"]:
                if "expr" in target:
                    text = target["expr"].replace("$namespace", "shoal").replace("$pool", ".*")
                    found[f"{name}: {panel['title']} {target['refId']}"] = text.replace("$__rate_interval", RATE)
    assert found
    assert not any("$" in text for text in found.values())
    return found


def container_of(objects: Any, name: str, kind: str = "containers") -> dict[str, Any]:
    [container] = objects.one("Deployment", name)["spec"]["template"]["spec"][kind]
    found: dict[str, Any] = container
    return found


@dataclass
class Kubelet:
    """Starts containers as processes: as manifests say, but for folders and addresses, which are this machine's."""

    folder: Path
    secrets: Mapping[str, str]
    addresses: Mapping[str, str]
    """Of services, as host and port."""
    stack: contextlib.ExitStack
    processes: dict[str, Any] = field(default_factory=dict)

    @property
    def own_environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SHOAL_")}
        return {**kept, "PYTHONPATH": str(Path(__file__).parents[3])}

    def environment(self, container: Mapping[str, Any], port: int | None = None) -> dict[str, str]:
        told = {each["name"]: value for each in container["env"] if (value := self._value(each, container)) is not None}
        if port is not None:
            told |= {"SHOAL_PORT": str(port), "SHOAL_HOST": "127.0.0.1"}
        for folder in (told.get("HOME"), told.get("SHOAL_DATA_DIR")):
            if folder is not None:
                Path(folder).mkdir(parents=True, exist_ok=True)
        return {**self.own_environment, **told}

    def _value(self, variable: Mapping[str, Any], container: Mapping[str, Any]) -> str | None:
        reference = variable.get("valueFrom", {})
        if "secretKeyRef" in reference:
            return self.secrets.get(reference["secretKeyRef"]["key"])
        if "resourceFieldRef" in reference:
            return str(math.ceil(float(container["resources"]["requests"]["cpu"])))
        value = str(variable["value"])
        for service, address in self.addresses.items():
            value = value.replace(service, address)
        return f"{self.folder}{value}" if value.startswith("/") else value

    def command(self, container: Mapping[str, Any]) -> list[str]:
        assert container["command"][0] == "shoal"
        return [sys.executable, "-m", *container["command"]]

    def run(self, container: Mapping[str, Any]) -> None:
        """To its end, which must be a good one."""
        told = self.environment(container)
        subprocess.run(self.command(container), env=told, check=True, capture_output=True, timeout=120)

    def start(self, name: str, words: list[str], environment: Mapping[str, str] | None = None) -> None:
        log = self.stack.enter_context((self.folder / f"{name}.log").open("wb"))
        told = self.own_environment if environment is None else environment
        process = subprocess.Popen(words, stdout=log, stderr=log, cwd=self.folder, env=told)
        self.stack.callback(process.wait, 30)
        self.stack.callback(process.kill)
        self.processes[name] = process


async def register(session: AsyncSession, actor: Actor) -> str:
    """Models of every pool, one that can not be loaded, and a tenant with a limit; gives an API key."""
    for name, source, pool in ((MODEL, MODEL, "default"), ("broken", "/nowhere", "default"),
                               ("steered", "steered", "steered"), ("idle", "idle", "idle")):  # fmt: skip
        await models.add_model(session, actor, models.NewModel(id=name, source=source, pool=pool))
    tenant = await tenants.create_tenant(session, actor, "acme")
    await grants.add_grant(session, actor, tenant.id, "*")
    await quotas.set_quota(session, actor, tenant.id, {"requests": 100_000})
    return (await keys.create_key(session, actor, tenant.id)).key


@pytest.fixture(scope="module")
def prometheus_executable() -> str:
    found = shutil.which("prometheus")
    if found is None:
        missing = "Nothing is asked of a real Prometheus: none here. On Debian: apt-get install prometheus"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    return found


def configuration(objects: Any, folder: Path, gateway: int, engine: int) -> Path:
    """What the operator makes of the chart's monitors and rules."""
    monitors = {each["metadata"]["name"]: each for each in objects.of("PodMonitor")}
    jobs = [
        scrape_job(monitors["shoal-gateway"], gateway, "shoal-gateway-1", "gateway", None),
        scrape_job(monitors["shoal-engine"], engine, "shoal-engine-default-1", "engine", "default"),
    ]
    [rules] = objects.of("PrometheusRule")
    (folder / "rules.yml").write_text(yaml.safe_dump(rules["spec"]))
    said = {"global": {"evaluation_interval": "1s"}, "rule_files": [str(folder / "rules.yml")], "scrape_configs": jobs}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(said))
    return folder / "prometheus.yml"


@pytest.fixture(scope="module")
def plant(render, new_redis, new_postgres, prometheus_executable, tmp_path_factory) -> Iterator[Plant]:
    objects, folder = render("values-cpu.yaml", VALUES), tmp_path_factory.mktemp("live")
    gateway, engine, steered, prometheus = (free_port() for _ in range(4))
    database, redis = new_postgres(), new_redis()
    secrets = {**SECRETS, "SHOAL_DATABASE_URL": database.url("postgres"), "SHOAL_REDIS_URL": redis.url}
    addresses = {
        "shoal-engine-default:9000": f"localhost:{engine}",
        "shoal-engine-steered:9000": f"localhost:{steered}",
        "shoal-engine-idle:9000": "nobody.invalid:9000",
    }
    of_gateway, of_engine = container_of(objects, "shoal-gateway"), container_of(objects, "shoal-engine-default")
    with contextlib.ExitStack() as stack:
        kubelet = Kubelet(folder, secrets, addresses, stack, {"redis": redis, "database": database})
        kubelet.start("engine", kubelet.command(of_engine), kubelet.environment(of_engine, engine))
        fake = ["-m", "benchmarks.fake_engine", "--secret", SECRETS["SHOAL_ENGINE_SECRET"], "--port", str(steered)]
        kubelet.start("steered", [sys.executable, *fake])
        where = ["--storage.tsdb.path", str(folder / "tsdb"), "--web.listen-address", f"127.0.0.1:{prometheus}"]
        config = configuration(objects, folder, gateway, engine)
        kubelet.start("prometheus", [prometheus_executable, "--config.file", str(config), *where])
        kubelet.run(container_of(objects, "shoal-gateway", "initContainers"))
        key = change(database.url("postgres"), register)
        kubelet.start("gateway", kubelet.command(of_gateway), kubelet.environment(of_gateway, gateway))
        urls = [f"http://127.0.0.1:{port}" for port in (gateway, engine, prometheus)]
        plant = Plant(objects, *urls, database.url("postgres"), key, kubelet.processes)
        until(lambda: plant.client.get(f"{plant.gateway}/health/ready").status_code == 200, "the gateway is ready")
        healthy = 'shoal_gateway_pool_nodes{pool=~"default|steered",state="healthy"}'
        until(lambda: plant.values(healthy) == [1.0, 1.0], "Prometheus sees both nodes")
        until(lambda: plant.values('up{container="engine"}') == [1.0], "Prometheus reads the engine")
        yield plant
        plant.client.close()


class Load:
    """Requests that go on until they are told to stop."""

    def __init__(self, plant: Plant, threads: int, *asked: tuple[str, str]) -> None:
        self._pool = concurrent.futures.ThreadPoolExecutor(threads)
        self._going = True
        self.statuses: list[int] = []

        def ask(text: str, model: str) -> None:
            while self._going:
                with contextlib.suppress(httpx.TransportError):
                    self.statuses.append(plant.embed(text, model))

        self._futures = [self._pool.submit(ask, *asked[number % len(asked)]) for number in range(threads)]

    def stop(self) -> None:
        self._going = False
        self._pool.shutdown()
        for future in self._futures:
            future.result()


@pytest.fixture(scope="module")
def seen() -> dict[str, list[float]]:
    """What KEDA's queries gave, for the model of its decisions."""
    return {}


def test_at_rest_demand_is_there_and_0_and_nothing_alarms(plant, seen) -> None:
    for pool in VALUES["pools"]:
        assert until(lambda pool=pool: plant.demand(pool), f"the demand of {pool} is known") == [0.0]
    seen["at rest"] = plant.demand("idle")
    until(lambda: plant.alerts() == {}, "no alert holds")
    [rules] = plant.objects.of("PrometheusRule")
    every = {rule["alert"] for group in rules["spec"]["groups"] for rule in group["rules"]}
    until(lambda: plant.evaluated_rules() == every, "Prometheus can evaluate every rule")


def test_at_rest_every_series_of_a_pool_is_there(plant, chart) -> None:
    for where, expression in expressions(chart, "pools").items():
        until(lambda text=expression: plant.query(text), f"{where} is there: a rate, when it was read twice")
        assert all(value >= 0 or math.isnan(value) for value in plant.values(expression)), where


def test_every_metric_that_is_named_is_one_that_the_program_shows(plant, chart) -> None:
    assert plant.embed() == 200
    shown = set()
    for url, secret in ((plant.gateway, "SHOAL_METRICS_KEY"), (plant.engine, "SHOAL_ENGINE_SECRET")):
        bearer = {"authorization": f"Bearer {SECRETS[secret]}"}
        page = plant.client.get(f"{url}/metrics", headers=bearer).raise_for_status().text
        shown |= set(re.findall(r"^(shoal_\w+)", page, re.MULTILINE))
    [rules] = plant.objects.of("PrometheusRule")
    texts = [rule["expr"] for group in rules["spec"]["groups"] for rule in group["rules"]]
    texts += expressions(chart, "gateway", "pools", "tenants", "engines").values()
    texts += [plant.scaled(pool)["spec"]["triggers"][0]["metadata"]["query"] for pool in VALUES["pools"]]
    named = {name for text in texts for name in re.findall(r"\bshoal_(?:gateway|engine)_\w+", text)}
    assert len(named) > 40
    assert named <= shown


def test_under_load_demand_is_what_is_asked_and_a_pool_without_nodes_alarms(plant, seen) -> None:
    assert plant.embed("herring", "idle", patience=1) == 503  # or rates would not see the first that are turned away
    until(lambda: plant.values('shoal_gateway_requests_total{status="503",endpoint="/v1/embeddings"}'), "it is counted")
    load = Load(plant, 6, ("herring", "idle"))
    try:
        until(lambda: plant.demand("idle") == [6.0], "Prometheus sees six who wait")
        seen["wanted"] = [6.0]
        assert plant.demand("steered") == [0.0]
        until(lambda: plant.alerts().get("ShoalPoolWithoutNodes") == {"idle"}, "it alarms")
        until(lambda: len(load.statuses) >= 6, "they were told to come back")
    finally:
        load.stop()
    assert set(load.statuses) == {503}
    until(lambda: {"ShoalTurnedAway", "ShoalSlow"} <= plant.alerts().keys(), "refusals and slowness alarm")
    until(lambda: plant.demand("idle") == [0.0], "it ends")
    seen["done"] = [0.0]


def test_nodes_at_work_are_demand_too(plant) -> None:
    load = Load(plant, 5, ("__sleep 3__", "steered"), ("herring " * 200, MODEL))
    try:
        until(lambda: plant.demand("steered")[0] == 3.0, "three are at the node")
        until(lambda: plant.demand("default")[0] >= 1.0, "and some at the engine")
        assert "ShoalPoolWithoutNodes" not in plant.alerts() or plant.alerts()["ShoalPoolWithoutNodes"] == {"idle"}
        time.sleep(2.0)  # of work, for rates
    finally:
        load.stop()
    assert set(load.statuses) == {200}


def test_failures_alarm(plant) -> None:
    failing = Load(plant, 2, ("__error inference_failed__", "steered"), ("herring", "broken"))
    try:
        until(lambda: {"ShoalErrors", "ShoalLoadsFail"} <= plant.alerts().keys(), "errors and loads alarm")
        assert plant.alerts()["ShoalLoadsFail"] == {"default"}
    finally:
        failing.stop()
    assert 200 not in failing.statuses


def test_after_load_every_expression_of_a_dashboard_has_a_number(plant, chart) -> None:
    def silent() -> list[str]:
        every = expressions(chart, "gateway", "pools", "tenants", "engines")
        return [where for where, text in every.items() if not any(map(math.isfinite, plant.values(text)))]

    deadline = time.monotonic() + 30
    while (mute := silent()) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert mute == []


def test_tenants_are_seen_in_the_database_by_one_who_may_see_nothing_else(plant, chart) -> None:
    async def rows(statement: str) -> list[Any]:
        connection = await asyncpg.connect(plant.database.replace("shoal:not-secret", "grafana:x"))
        try:
            return list(await connection.fetch(statement))
        finally:
            await connection.close()

    plant.processes["database"].admin("CREATE ROLE grafana LOGIN PASSWORD 'x'", "GRANT SELECT ON usage_hour TO grafana")
    panels = json.loads((chart / "files" / "dashboards" / "tenants.json").read_text())["panels"]
    statements = [target["rawSql"] for panel in panels for target in panel["targets"] if "rawSql" in target]
    assert len(statements) == 6
    for statement in statements:
        chosen = statement.replace("$__timeFrom()", "now() - interval '2 hours'").replace("$__timeTo()", "now()")
        found = until(lambda text=chosen: asyncio.run(rows(text)), "usage is written")
        assert {row.get("tenant", row.get("metric")) for row in found} == {"acme"}
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        asyncio.run(rows("SELECT * FROM api_key"))


def test_the_quota_store_is_missed(plant) -> None:
    plant.processes["redis"].kill()
    until(lambda: plant.embed() == 503 and "ShoalQuotaStoreAway" in plant.alerts(), "it alarms")
    plant.processes["redis"].start()
    until(lambda: plant.embed() == 200, "it decides again")
    until(lambda: "ShoalQuotaStoreAway" not in plant.alerts(), "nobody misses it")


def test_the_database_is_missed(plant) -> None:
    """The alerts' own expressions, with limits that a test has time for."""
    [rules] = plant.objects.of("PrometheusRule")
    by_name = {rule["alert"]: rule["expr"] for group in rules["spec"]["groups"] for rule in group["rules"]}
    waiting = {name: re.sub(r"> [0-9.]+\s*$", f"> {limit}", by_name[name])
               for name, limit in (("ShoalDatabaseAway", 3), ("ShoalUsageWaits", 3), ("ShoalUsageSpoolFills", 0))
               }  # fmt: skip
    assert all(waiting[name] != by_name[name] for name in waiting)
    until(lambda: not any(plant.values(text) for text in waiting.values()), "all is written")
    plant.processes["database"].stop()
    try:
        assert plant.embed() == 200
        for name, text in waiting.items():
            until(lambda text=text: plant.values(text), name)
    finally:
        plant.processes["database"].start()
    until(lambda: not any(plant.values(text) for text in waiting.values()), "all is written again")


def test_with_the_gateway_gone_demand_is_unknown_not_0(plant, chart, seen) -> None:
    plant.processes["gateway"].kill()
    plant.processes["gateway"].wait()
    until(lambda: plant.demand("idle") == [], "nothing is known")
    assert [plant.demand(pool) for pool in VALUES["pools"]] == [[], [], []]
    seen["gone"] = plant.demand("idle")
    until(lambda: {"ShoalDemandUnknown", "ShoalGatewayDown", "ShoalPodUnseen"} <= plant.alerts().keys(), "it alarms")
    for where, expression in expressions(chart, "pools").items():
        if "rate(" not in expression:
            assert plant.query(expression) == [], where


def test_by_what_was_seen_keda_wakes_the_pool_puts_it_to_rest_and_freezes_when_nothing_is_known(plant, seen) -> None:
    scaled = plant.scaled("idle")
    spec = scaled["spec"]
    keda = Keda(scaled)
    trajectory = [keda.look(seen["at rest"], times=100), keda.look(seen["wanted"]), keda.look(seen["wanted"])]
    assert trajectory == [0, 1, 3]  # six requests, two for each pod
    assert keda.look(seen["gone"], times=10_000) == 3
    assert keda.error is not None
    looks = spec["cooldownPeriod"] // spec["pollingInterval"]
    keda = Keda(scaled)
    keda.look(seen["wanted"], times=2)
    assert keda.look(seen["done"], times=looks) >= 1
    assert keda.look(seen["done"], times=2) == 0
    assert keda.look(seen["gone"], times=10_000) == 0
