"""What an operator sees of real processes: a gateway of two workers and an engine, by a real Prometheus, by what a
collector of traces receives, and by their logs.
"""

import concurrent.futures
import contextlib
import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from gateway.services.register import models
from gateway.settings import sqlite_url
from shoal.database import change

ARCHITECTURE = Path(__file__).parents[2] / "ARCHITECTURE.md"
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
SECRET = "the-secret-of-these-nodes-and-gateways"
TEXT = "herring that nobody may read of"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def environment(**more: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("SHOAL_")} | more


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def until(condition: Callable[[], Any], what: str, limit: float = 60.0) -> Any:
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if found := condition():
                return found
        time.sleep(0.05)
    pytest.fail(f"not within {limit} s: {what}")


class Collector(http.server.ThreadingHTTPServer):
    """Takes what OpenTelemetry's collectors take."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Receiver)
        self.received: list[tuple[str, Span]] = []
        """Name of the service, and span."""
        self.headers: list[dict[str, str]] = []

    def spans(self, trace: str) -> dict[str, tuple[str, Span]]:
        """Of one trace, by name."""
        return {span.name: (service, span) for service, span in self.received if span.trace_id.hex() == trace}


class Receiver(http.server.BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        assert self.path == "/v1/traces"
        said = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["content-length"])))
        self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
        for resource in said.resource_spans:
            [service] = [each.value.string_value for each in resource.resource.attributes if each.key == "service.name"]
            self.server.received += [(service, span) for scope in resource.scope_spans for span in scope.spans]
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@dataclass
class Plant:
    """All of it, running."""

    folder: Path
    gateway: str
    engine: str
    prometheus: str
    collector: Collector
    key: str
    clients: list[httpx.Client] = field(default_factory=list)

    def log(self, name: str) -> list[dict[str, Any]]:
        """The lines of a process, which are JSON but for what it prints for people."""
        lines = (self.folder / f"{name}.log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def embed(self, text: str = TEXT, model: str = MODEL, **headers: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.key}", **headers}
        body = {"model": model, "input": text}
        return httpx.post(f"{self.gateway}/v1/embeddings", json=body, headers=headers, timeout=60)

    def query(self, expression: str) -> list[dict[str, Any]]:
        reply = httpx.get(f"{self.prometheus}/api/v1/query", params={"query": expression}, timeout=10)
        found: list[dict[str, Any]] = reply.raise_for_status().json()["data"]["result"]
        return found

    def value(self, expression: str) -> float | None:
        """Of the one series that an expression gives; None where there is none."""
        found = self.query(expression)
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None


def configuration(gateway: int, engine: int) -> str:
    def job(name: str, port: int, secret: str) -> dict[str, Any]:
        return {
            "job_name": name,
            "authorization": {"credentials": secret},
            "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
        }

    jobs = [job("gateway", gateway, "for-prometheus"), job("engine", engine, SECRET)]
    return json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": jobs})  # JSON is YAML


@pytest.fixture(scope="module")
def prometheus_executable() -> str:
    found = shutil.which("prometheus")
    if found is None:
        missing = "Metrics are not scraped by a real Prometheus: none here. On Debian: apt-get install prometheus"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    return found


@pytest.fixture(scope="module")
def plant(prometheus_executable, new_redis, filled_template, tmp_path_factory) -> Iterator[Plant]:
    folder = tmp_path_factory.mktemp("observed")
    template, key = filled_template
    shutil.copytree(template, folder, dirs_exist_ok=True)
    change(
        sqlite_url(folder),
        lambda session, actor: models.add_model(
            session, actor, models.NewModel(id="nobody/there", source=MODEL, pool="idle")
        ),
    )
    ports = [free_port() for _ in range(4)]
    gateway, engine, prometheus, nobody = ports
    collector = Collector()
    (folder / "prometheus.yml").write_text(configuration(gateway, engine))
    otlp = f"http://127.0.0.1:{collector.server_address[1]}"
    traces = environment(SHOAL_ENGINE_SECRET=SECRET, SHOAL_OTLP_ENDPOINT=otlp, SHOAL_OTLP_HEADERS="x-key=a%20b")
    words = [sys.executable, "-m", "shoal"]
    with contextlib.ExitStack() as stack:

        def start(name: str, *command: str, **options: Any) -> None:
            log = stack.enter_context((folder / f"{name}.log").open("wb"))
            process = stack.enter_context(subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, **options))
            stack.callback(process.wait, 30)
            stack.callback(process.terminate)

        stack.callback(collector.server_close)
        receiving = threading.Thread(target=collector.serve_forever)
        receiving.start()
        stack.callback(receiving.join)
        stack.callback(collector.shutdown)
        start("engine", *words, "engine", "--port", str(engine), "--device", "cpu", env=traces)
        nodes = ["--node", f"http://127.0.0.1:{engine}", "--node", f"idle=http://127.0.0.1:{nobody}"]
        more = ["--workers", "2", "--redis-url", new_redis().url, "--trace-share", "0", "--access-log", "all"]
        more += ["--metrics-key", "for-prometheus", "--data-dir", str(folder), "--pool-patience", "6"]
        start("gateway", *words, "gateway", "--port", str(gateway), *nodes, *more, env=traces)
        store = ["--storage.tsdb.path", str(folder / "tsdb"), "--web.listen-address", f"127.0.0.1:{prometheus}"]
        start("prometheus", prometheus_executable, "--config.file", str(folder / "prometheus.yml"), *store)
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        plant = Plant(folder, urls[0], urls[1], urls[2], collector, key)
        ready = f"{plant.gateway}/health/ready"
        until(lambda: httpx.get(ready).json().get("workers", {}).get("ready") == 2, "the gateway is ready")
        until(lambda: plant.value('up{job="gateway"}') == 1.0, "Prometheus scrapes the gateway")
        until(lambda: plant.value('up{job="engine"}') == 1.0, "Prometheus scrapes the engine")
        yield plant


def documented(side: str) -> set[str]:
    return set(re.findall(rf"`(shoal_{side}_\w+)", ARCHITECTURE.read_text()))


def test_idle_pools_read_0_and_demand_is_one_series_however_many_workers(plant) -> None:
    assert plant.value('sum(shoal_gateway_pool_demand{pool="idle"})') == 0.0
    assert plant.value('shoal_gateway_pool_demand{pool="idle"}') == 0.0
    assert plant.value('shoal_gateway_pool_nodes{pool="idle",state="healthy"}') == 0.0
    assert plant.value('shoal_gateway_pool_nodes{pool="idle",state="away"}') == 1.0
    for name in ("waiting", "inflight"):
        assert plant.value(f'shoal_gateway_pool_{name}{{pool="idle"}}') == 0.0
    assert plant.value('sum(shoal_gateway_node_calls_total{pool="idle"})') == 0.0


@pytest.mark.parametrize("side", ["gateway", "engine"])
def test_prometheus_finds_every_metric_that_is_documented(plant, side) -> None:
    def there() -> set[str]:
        found = plant.query(f'{{job="{side}",__name__=~"shoal_.*",__name__!~".*_created"}}')
        return {re.sub("_(bucket|count|sum)$", "", each["metric"]["__name__"]) for each in found}

    assert plant.embed().status_code == 200
    until(lambda: there() >= documented(side), "Prometheus has seen the request")
    assert there() == documented(side)


def test_who_waits_for_a_pool_at_rest_is_demand_until_it_is_told_to_come_back(plant) -> None:
    with concurrent.futures.ThreadPoolExecutor(4) as clients:
        waiting = [clients.submit(plant.embed, model="nobody/there") for _ in range(4)]
        until(lambda: plant.value('sum(shoal_gateway_pool_demand{pool="idle"})') == 4.0, "Prometheus sees the demand")
        assert plant.value('shoal_gateway_pool_waiting{pool="idle"}') == 4.0
        for reply in waiting:
            assert reply.result().status_code == 503
            assert int(reply.result().headers["retry-after"]) >= 1
    until(lambda: plant.value('sum(shoal_gateway_pool_demand{pool="idle"})') == 0.0, "it ends")


def test_one_trace_leads_from_the_caller_through_gateway_and_engine_to_the_batch(plant) -> None:
    reply = plant.embed(traceparent=f"00-{TRACE}-{PARENT}-01")
    assert reply.status_code == 200
    expected = {
        "POST /v1/embeddings": "shoal-gateway",
        "quota.reserve": "shoal-gateway",
        "node.wait": "shoal-gateway",
        "node.call": "shoal-gateway",
        "POST /embed": "shoal-engine",
        "load": "shoal-engine",
        "tokenize": "shoal-engine",
        "queue": "shoal-engine",
    }
    until(lambda: plant.collector.spans(TRACE).keys() == expected.keys(), "both sides have told")
    spans = plant.collector.spans(TRACE)
    assert {name: service for name, (service, _) in spans.items()} == expected
    ids = {name: span.span_id.hex() for name, (_, span) in spans.items()}
    parents = {name: span.parent_span_id.hex() for name, (_, span) in spans.items()}
    request, node = ids["POST /v1/embeddings"], ids["POST /embed"]
    assert parents == {
        "POST /v1/embeddings": PARENT,
        **dict.fromkeys(("quota.reserve", "node.wait", "node.call"), request),
        "POST /embed": ids["node.call"],
        **dict.fromkeys(("load", "tokenize", "queue"), node),
    }
    for _, span in spans.values():
        assert span.start_time_unix_nano <= span.end_time_unix_nano
        assert not span.status.code

    _, served = spans["POST /embed"]
    [link] = served.links
    [batch] = [span for _, span in plant.collector.received if span.span_id == link.span_id]
    assert (batch.name, batch.trace_id, batch.parent_span_id) == ("batch", link.trace_id, b"")
    assert batch.trace_id != served.trace_id
    assert [(each.trace_id, each.span_id) for each in batch.links] == [(served.trace_id, served.span_id)]

    _, top = spans["POST /v1/embeddings"]
    told = {each.key: each.value for each in top.attributes}
    assert told["http.response.status_code"].int_value == 200
    assert told["gen_ai.request.model"].string_value == MODEL
    assert told["gen_ai.operation.name"].string_value == "embeddings"
    assert told["gen_ai.usage.input_tokens"].int_value == reply.json()["usage"]["prompt_tokens"]
    assert told["shoal.request_id"].string_value == reply.headers["x-request-id"]
    assert plant.collector.headers[-1]["x-key"] == "a b"


def test_callers_can_not_have_everything_recorded(plant) -> None:
    trace = "c" * 32
    with concurrent.futures.ThreadPoolExecutor(8) as clients:
        headers = [f"00-{trace}-{number:016x}-01" for number in range(1, 61)]
        began = time.monotonic()
        assert {each.status_code for each in clients.map(lambda each: plant.embed(traceparent=each), headers)} == {200}
        elapsed = time.monotonic() - began
    time.sleep(2.5)  # more than one delivery
    requests = [span for _, span in plant.collector.received if span.trace_id.hex() == trace and span.kind == 2]
    gateways = [span for span in requests if span.name == "POST /v1/embeddings"]
    assert 1 <= len(gateways) <= 2 * 5 * (elapsed + 1)
    assert len(gateways) < 60 or elapsed > 5
    assert plant.embed(traceparent=f"00-{'d' * 32}-{PARENT}-00").status_code == 200
    time.sleep(1.5)
    assert not plant.collector.spans("d" * 32)


def test_the_request_id_is_in_the_logs_of_both_sides_and_nothing_that_was_sent_is(plant) -> None:
    ours = {"x-request-id": "req_of-the-caller.1", "x-client-request-id": "sdk-7"}
    reply = plant.embed(**ours)
    assert reply.headers["x-request-id"] == ours["x-request-id"]
    failed = plant.embed(model="nobody/there", **{"x-request-id": "waits-in-vain", "x-stainless-timeout": "1"})
    assert failed.status_code == 503

    def lines(request_id: str) -> list[dict[str, Any]]:
        return [line for line in plant.log("gateway") if line.get("request_id") == request_id]

    [line] = until(lambda: lines(ours["x-request-id"]), "the gateway has logged it")
    assert line.items() >= {
        "event": "request", "logger": "shoal.access", "level": "info", "status": 200, "endpoint": "/v1/embeddings",
        "method": "POST", "model": MODEL, "client_request_id": "sdk-7", "inputs": 1,
    }.items()  # fmt: skip
    assert line["tokens"] == reply.json()["usage"]["prompt_tokens"]
    assert plant.key.split("-")[2] == line["key_id"]
    [failure] = until(lambda: lines("waits-in-vain"), "the gateway has logged that it failed")
    assert failure["level"] == "warning"

    over = {"authorization": f"Bearer {SECRET}", "x-request-id": "wrong-one", "content-type": "application/msgpack"}
    answer = httpx.post(f"{plant.engine}/embed", content=b"junk", headers=over)
    assert (answer.status_code, answer.headers["x-request-id"]) == (400, "wrong-one")
    for name in ("gateway", "engine"):
        text = (plant.folder / f"{name}.log").read_text()
        assert TEXT not in text
        assert plant.key not in text
        assert SECRET not in text


def test_both_say_whether_they_are_ready(plant) -> None:
    report = httpx.get(f"{plant.gateway}/health/ready").json()
    assert report["status"] == "ready"
    assert report["reasons"] == ["No node of the pool 'idle' is healthy."]
    assert httpx.get(f"{plant.engine}/health/ready").json() == {"status": "ready", "reasons": []}
