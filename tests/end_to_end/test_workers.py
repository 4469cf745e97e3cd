"""`--workers`: several processes, one Redis and one database behave as one server, whoever of them dies.

The engine is faked, so that what is tested is the gateway.
"""

import concurrent.futures
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.services.register import grants, keys, quotas, tenants
from gateway.services.register.audit import Actor
from gateway.settings import sqlite_url
from shoal.database import change

WORKERS = 3
MODEL = "sentence-transformers/all-MiniLM-L6-v2"


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("SHOAL_")}


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def until(condition: Callable[[], object], what: str, limit: float = 30.0) -> None:
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if condition():
                return
        time.sleep(0.02)
    pytest.fail(f"not within {limit} s: {what}")


def shoal(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "shoal", *words, "--data-dir", str(folder)],
        env=environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass
class Crew:
    """A running `shoal gateway --workers 3`."""

    folder: Path
    port: int
    key: str
    """Of a tenant `acme` without limits."""
    process: subprocess.Popen[bytes]
    clients: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def workers(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            found = psutil.Process(self.process.pid).children()
            return [child for child in found if "shoal.workers" in child.cmdline()]
        return []

    def shoal(self, *words: str) -> str:
        return shoal(self.folder, *words)

    def new_key(self, tenant: str, **limits: int) -> tuple[str, str]:
        """The id and the text of a key of a new tenant, known to every worker."""

        async def add(session: AsyncSession, actor: Actor) -> keys.CreatedKey:
            made = await tenants.create_tenant(session, actor, tenant)
            await grants.add_grant(session, actor, made.id, "*")
            if limits:
                await quotas.set_quota(session, actor, made.id, limits)
            return await keys.create_key(session, actor, made.id)

        made = change(sqlite_url(self.folder), add)
        until(lambda: all(self.ask(client, made.key) == 200 for client in self.each()), "every worker knows the key")
        return made.id, made.key

    def each(self) -> list[httpx.Client]:
        """Clients with one connection each, one for each worker: a new connection goes to whoever has the fewest."""
        self.clients.close()
        made = [self.clients.enter_context(httpx.Client(base_url=self.url, timeout=30)) for _ in range(WORKERS)]
        for client in made:
            client.get("/health/live")
        return made

    @staticmethod
    def ask(client: httpx.Client, key: str) -> int:
        return client.get("/v1/models", headers={"authorization": f"Bearer {key}"}).status_code

    def embed(self, key: str, text: str = "hello", client: httpx.Client | None = None) -> int:
        """The status of one request, over a connection of its own unless a client is given."""
        headers = {"authorization": f"Bearer {key}"}
        post = client.post if client is not None else httpx.post
        url = "/v1/embeddings" if client is not None else f"{self.url}/v1/embeddings"
        return post(url, json={"model": MODEL, "input": text}, headers=headers, timeout=30).status_code

    def readiness(self) -> dict[str, int]:
        reply = httpx.get(f"{self.url}/health/ready")
        return reply.json()["workers"] | {"status": reply.status_code}

    def metrics(self) -> dict[str, float]:
        """The numbers of /metrics by name, over all labels."""
        found: dict[str, float] = {}
        for family in text_string_to_metric_families(httpx.get(f"{self.url}/metrics").text):
            for sample in family.samples:
                if sample.labels.get("endpoint", "/v1/embeddings") == "/v1/embeddings":
                    found[sample.name] = found.get(sample.name, 0.0) + sample.value
        return found

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(30)


@pytest.fixture(scope="module")
def fake_engine() -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.fake_engine", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=Path(__file__).parents[2]) as process:
        yield f"http://127.0.0.1:{port}"
        process.terminate()


@pytest.fixture(scope="module")
def start_crew(filled_template, fake_engine, new_redis, tmp_path_factory) -> Iterator[Callable[[], Crew]]:
    redis = new_redis()
    with contextlib.ExitStack() as stack:

        def start() -> Crew:
            template, key = filled_template
            folder = tmp_path_factory.mktemp("crew")
            shutil.copytree(template, folder, dirs_exist_ok=True)
            port = free_port()
            log = stack.enter_context((folder / "log").open("wb"))
            words = ["--workers", str(WORKERS), "--redis-url", redis.url, "--node", fake_engine]
            words += ["--port", str(port), "--data-dir", str(folder), "--grace-period", "10"]
            process = subprocess.Popen(
                [sys.executable, "-m", "shoal", "gateway", *words], env=environment(), stdout=log, stderr=log
            )
            crew = Crew(folder, port, key, process)
            stack.callback(crew.process.wait, 30)
            stack.callback(crew.process.kill)
            stack.callback(crew.clients.close)
            until(lambda: crew.readiness()["ready"] == WORKERS, f"all workers serve; see {folder / 'log'}", 90)
            return crew

        yield start


@pytest.fixture(scope="module")
def crews() -> list[Crew]:
    """All of this file, one after another: each is the processor time of four processes' starts."""
    return []


@pytest.fixture
def crew(crews, start_crew) -> Crew:
    """The one that runs, which a test may end: the next test has a new one."""
    if not crews or crews[-1].process.poll() is not None:
        crews.append(start_crew())
    return crews[-1]


class Load:
    """Callers who ask again and again, each over a new connection; counts what became of their requests."""

    def __init__(self, crew: Crew, key: str, callers: int) -> None:
        self.answered: list[int] = []
        self.failed = 0
        self._crew, self._key = crew, key
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._call) for _ in range(callers)]

    def _call(self) -> None:
        while not self._ending.is_set():
            try:
                self.answered.append(self._crew.embed(self._key, "__sleep 0.01__"))
            except httpx.TransportError:
                self.failed += 1

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        until(lambda: len(self.answered) > 20, "the load flows")
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def goes_on(self, requests: int = 30) -> None:
        reached = len(self.answered) + requests
        until(lambda: len(self.answered) > reached, "the load goes on")


def test_connections_are_spread_evenly(crew) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(4 * WORKERS):
            client = stack.enter_context(httpx.Client(base_url=crew.url))
            assert client.get("/health/live").status_code == 200
        held = [
            sum(conn.status == "ESTABLISHED" and conn.laddr.port == crew.port for conn in worker.net_connections("tcp"))
            for worker in crew.workers
        ]
    assert held == [4] * WORKERS


def test_any_workers_metrics_are_those_of_all(crew) -> None:
    before = crew.metrics().get("shoal_gateway_requests_total", 0)
    clients = crew.each()
    for client in clients:
        assert crew.embed(crew.key, client=client) == 200
    pages = [client.get("/metrics").text for client in clients]
    for page in pages:
        counts = re.findall(
            r'^shoal_gateway_requests_total\{endpoint="/v1/embeddings".*"200"\} (\S+)', page, re.MULTILINE
        )
        assert sum(map(float, counts)) == before + WORKERS
        assert f"shoal_gateway_workers {WORKERS}.0" in page
        assert 'shoal_gateway_pool_nodes{pool="default",state="healthy"} 1.0' in page


def test_metrics_are_no_more_open_than_of_one_process(crew) -> None:
    assert httpx.get(f"{crew.url}/metrics", headers={"x-forwarded-for": "127.0.0.1"}).status_code == 404


def test_a_quota_is_one_for_all_workers(crew) -> None:
    _, key = crew.new_key("limited", requests=20)
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(8) as callers:
        statuses = list(callers.map(lambda _: crew.embed(key), range(60)))
    drained = (time.monotonic() - began) * 20 / 60
    assert set(statuses) == {200, 429}
    assert 20 <= statuses.count(200) <= 20 + drained + 1


def test_a_revoked_key_is_refused_by_every_worker_within_two_seconds(crew) -> None:
    key_id, key = crew.new_key("revoked")
    clients = crew.each()
    assert [crew.ask(client, key) for client in clients] == [200] * WORKERS
    crew.shoal("key", "revoke", key_id)
    revoked = time.monotonic()
    until(lambda: [crew.ask(client, key) for client in clients] == [401] * WORKERS, "the key is refused", 2.0)
    assert time.monotonic() - revoked < 2.0


def test_signing_in_and_out_holds_at_every_worker(crew) -> None:
    [password] = re.findall(r"\b\w{5}(?:-\w{5}){3}\b", crew.shoal("operator", "create", "ada"))
    first, *others = crew.each()
    token = re.search(r'name="csrf_token" value="([^"]+)"', first.get("/admin/sign-in").text)
    form = {"csrf_token": token[1], "name": "ada", "password": password}
    assert first.post("/admin/sign-in", data=form).status_code == 303
    page = first.get("/admin").text
    for other in others:
        other.cookies.update(first.cookies)
        assert other.get("/admin").status_code == 200
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert others[0].post("/admin/sign-out", data={"csrf_token": token[1]}).status_code == 303
    assert [client.get("/admin").status_code for client in (first, *others[1:])] == [303] * (WORKERS - 1)


def test_a_worker_that_is_killed_fails_its_own_requests_alone_and_is_replaced(crew) -> None:
    restarts = crew.metrics()["shoal_gateway_worker_restarts_total"]
    callers = 6
    with Load(crew, crew.key, callers) as load:
        for _ in range(2):
            before = crew.metrics()["shoal_gateway_requests_total"]
            victim = crew.workers[0]
            victim.kill()
            assert crew.metrics()["shoal_gateway_requests_total"] >= before
            load.goes_on()
            until(lambda: crew.readiness()["ready"] == WORKERS, "another worker is there")
        load.goes_on()
    assert set(load.answered) == {200}
    assert load.failed <= 2 * callers
    found = crew.metrics()
    assert found["shoal_gateway_worker_restarts_total"] == restarts + 2
    assert found["shoal_gateway_requests_total"] >= before


def test_workers_that_are_told_to_go_one_by_one_fail_no_request(crew) -> None:
    before = crew.metrics().get("shoal_gateway_requests_total", 0)
    with Load(crew, crew.key, 6) as load:
        for worker in crew.workers:
            worker.terminate()
            worker.wait(15)
            until(lambda: crew.readiness()["ready"] == WORKERS, "another worker is there")
        load.goes_on()
    assert set(load.answered) == {200}
    assert load.failed == 0
    until(
        lambda: crew.metrics()["shoal_gateway_requests_total"] == before + len(load.answered),
        "the ended workers' counts stay",
    )


def test_a_stop_finishes_what_every_worker_has_and_exits_0(crew) -> None:
    _, key = crew.new_key("stopped")
    workers = crew.workers
    with concurrent.futures.ThreadPoolExecutor(6) as callers:
        in_flight = [callers.submit(crew.embed, key, "__sleep 1.5__") for _ in range(6)]
        until(lambda: crew.metrics()["shoal_gateway_inflight"] >= 7, "all requests are in flight")
        began = time.monotonic()
        assert crew.stop() == 0
        assert time.monotonic() - began < 8
        assert [request.result() for request in in_flight] == [200] * 6
    assert not any(worker.is_running() for worker in workers)
    exported = crew.shoal("usage", "export", "--tenant", "stopped", "--from", "2020-01-01", "--format", "jsonl")
    assert len(exported.splitlines()) == 6


def test_no_worker_outlives_a_parent_that_is_killed(crew) -> None:
    workers = crew.workers
    assert len(workers) == WORKERS
    crew.process.kill()
    crew.process.wait()
    until(lambda: not any(worker.is_running() for worker in workers), "the workers went", 15)


def test_what_is_wrong_is_said_once_and_ends_the_start(filled, fake_engine) -> None:
    folder, _ = filled
    in_the_way = folder / "no-folder"
    in_the_way.write_text("a file")
    words = ["--workers", "4", "--redis-url", "redis://127.0.0.1:1", "--node", fake_engine, "--port", "0"]
    done = subprocess.run(
        [sys.executable, "-m", "shoal", "gateway", *words, "--data-dir", folder, "--usage-spool", in_the_way],
        env=environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.count(str(in_the_way)) == 1


def test_serve_runs_one_engine_under_all_its_workers(start_server, redis, tmp_path) -> None:
    with start_server(tmp_path, "--workers", "2", "--redis-url", redis.url) as server:
        assert server.printed.count("sk-shoal-") == 2, "one key, shown and in the example"
        reply = server.embed(server.api_key, {"model": "all-minilm-l6-v2", "input": "Herring swim in shoals."})
        assert reply.status_code == 200
        server.until(lambda: "shoal_gateway_workers 2.0" in httpx.get(f"{server.url}/metrics").text, "both serve")
        children = psutil.Process(server.process.pid).children()
        assert sorted("shoal.workers" in child.cmdline() for child in children) == [False, True, True]
        assert server.stop() == 0
        assert not any(child.is_running() for child in children)
        assert "Traceback" not in server.printed
