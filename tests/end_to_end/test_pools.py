"""A gateway and engine nodes as processes of their own: pools at rest that wake, and nodes that die."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from openai import OpenAI

STARTER = "sentence-transformers/all-MiniLM-L6-v2"
SECRET = "what nodes and gateways share"
TEXTS = ["a few words to embed", "and some more of them"]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


@contextlib.contextmanager
def running(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    known = {name: value for name, value in os.environ.items() if not name.startswith("SHOAL_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "shoal", *words],
        env=known | {"SHOAL_ENGINE_SECRET": SECRET}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(40)


def engine(port: int) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    return running("engine", "--port", str(port), "--device", "cpu", "--memory-budget", "500MiB", "--threads", "1")


@dataclass
class Gateway:
    url: str
    key: str

    def client(self, **options: Any) -> OpenAI:
        return OpenAI(base_url=f"{self.url}/v1", api_key=self.key, timeout=60, **options)

    def metric(self, name: str) -> float:
        lines = httpx.get(f"{self.url}/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    @staticmethod
    def until(condition: Callable[[], Any], what: str, limit: float = 60.0) -> None:
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                if condition():
                    return
            time.sleep(0.05)
        pytest.fail(f"not within {limit} s: {what}")


@pytest.fixture
def start_gateway(filled: tuple[Path, str]) -> Callable[..., contextlib.AbstractContextManager[Gateway]]:
    folder, key = filled

    @contextlib.contextmanager
    def start(*words: str) -> Iterator[Gateway]:
        port = free_port()
        with running("gateway", "--port", str(port), "--data-dir", str(folder), *words):
            gateway = Gateway(f"http://127.0.0.1:{port}", key)
            gateway.until(lambda: httpx.get(f"{gateway.url}/health/live").status_code == 200, "the gateway lives")
            yield gateway

    return start


def embed(client: OpenAI) -> list[list[float]]:
    return [item.embedding for item in client.embeddings.create(model="mini", input=TEXTS).data]


def test_a_pool_at_zero_is_woken_by_demand_and_whoever_waited_is_answered(start_gateway) -> None:
    port = free_port()
    with start_gateway("--node", f"dns+http://localhost:{port}", "--pool-patience", "50") as gateway:
        demand = 'shoal_gateway_pool_demand{pool="default"}'
        assert gateway.metric(demand) == 0
        with ThreadPoolExecutor(3) as callers:
            waiting = [callers.submit(embed, gateway.client(max_retries=0)) for _ in range(3)]
            gateway.until(lambda: gateway.metric(demand) == 3, "an autoscaler sees the three")
            with engine(port):
                vectors = [each.result(60) for each in waiting]
                assert np.shape(vectors) == (3, 2, 384)
                gateway.until(lambda: gateway.metric(demand) == 0, "and that nobody is there any more")


def test_who_waits_too_long_is_told_when_to_come_back_and_the_sdk_does(start_gateway) -> None:
    port = free_port()
    with start_gateway("--node", f"http://127.0.0.1:{port}", "--pool-patience", "0.3") as gateway:
        refused = httpx.post(
            f"{gateway.url}/v1/embeddings",
            json={"model": "mini", "input": TEXTS},
            headers={"authorization": f"Bearer {gateway.key}"},
        )
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json()["error"]["code"] == "no_engine_node"
        with ThreadPoolExecutor(1) as callers:
            served = callers.submit(embed, gateway.client(max_retries=12))
            late = 'shoal_gateway_requests_total{endpoint="/v1/embeddings"'
            gateway.until(lambda: gateway.metric(late) >= 2, "the SDK was refused once")
            with engine(port):
                assert np.shape(served.result(60)) == (2, 384)


def test_kill_9_of_a_node_under_load_costs_nobody_an_answer(start_gateway) -> None:
    ports = free_port(), free_port()
    nodes = [word for port in ports for word in ("--node", f"http://127.0.0.1:{port}")]
    with start_gateway(*nodes) as gateway, engine(ports[0]) as first, engine(ports[1]) as second:
        right = np.array(embed(gateway.client()))
        healthy = 'shoal_gateway_pool_nodes{pool="default",state="healthy"}'
        gateway.until(lambda: gateway.metric(healthy) == 2, "both nodes serve")
        stop = threading.Event()

        def caller() -> list[list[list[float]]]:
            client, replies = gateway.client(max_retries=0), []
            while not stop.is_set():
                replies.append(embed(client))
            return replies

        with ThreadPoolExecutor(8) as callers:
            working = [callers.submit(caller) for _ in range(8)]
            try:
                time.sleep(1)
                busy = first if holds_model(ports[0]) else second
                busy.kill()
                busy.wait()
                gateway.until(lambda: gateway.metric(healthy) == 1, "one is gone")
                time.sleep(1)
            finally:
                stop.set()
            answers = [answer for each in working for answer in each.result(60)]
    assert len(answers) > 16
    assert np.abs(np.array(answers) - right).max() < 1e-6


def holds_model(port: int) -> bool:
    page = httpx.get(f"http://127.0.0.1:{port}/metrics", headers={"authorization": f"Bearer {SECRET}"}).text
    return 'shoal_engine_models{tier="device"} 1.0' in page
