"""An engine node as a process of its own: it ends when told to, whatever it is at, and is found again when back."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest

from engine.protocol import EmbedRequest, ModelRef
from gateway.engine_client import EngineClient
from gateway.errors import GatewayError
from gateway.transport import AsyncioTransport

STARTER = "sentence-transformers/all-MiniLM-L6-v2"
MODEL = ModelRef(id=STARTER, source=STARTER)
SECRET = "between-these-two"
PATIENCE = 90.0
GRACE = 60.0
"""Seconds: both more than anything here takes on a busy machine."""


class Process:
    """A `shoal` command that serves, and what it printed."""

    def __init__(self, *arguments, **extra):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SHOAL_")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "shoal", *arguments],
            env=environment | {"PYTHONUNBUFFERED": "1", "SHOAL_ENGINE_SECRET": SECRET} | extra,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.output = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            self.output.append(line)

    def __enter__(self):
        until(lambda: "Serving on" in self.printed or self._process.poll() is not None, "it serves")
        assert self._process.poll() is None, self.printed
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            self.kill()
        self._reader.join(10)
        self._process.stdout.close()

    @property
    def printed(self):
        return "".join(self.output)

    @property
    def url(self):
        return re.search(r"http://[\d.]+:\d+", self.printed).group()

    def terminate(self):
        self._process.send_signal(signal.SIGTERM)

    def kill(self):
        self._process.kill()
        self._process.wait(10)

    def ended(self, within):
        """The exit status, and the seconds that it took."""
        began = time.monotonic()
        return self._process.wait(within), time.monotonic() - began


def engine(*arguments, port=0, grace=GRACE, **extra):
    options = ("--port", str(port), "--device", "cpu", "--grace-period", str(grace))
    return Process("engine", *options, *arguments, **extra)


def until(condition, what, limit=60.0):
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if value := condition():
                return value
        time.sleep(0.02)
    pytest.fail(f"not within {limit} s: {what}")
    return None


async def calling(work):
    engines = EngineClient(AsyncioTransport(), SECRET)
    try:
        return await work(engines)
    finally:
        await engines.close()


async def waiting_at(engines, url, requests):
    while (await engines.status(url, PATIENCE)).waiting_requests < requests:
        await asyncio.sleep(0.01)


def test_sigterm_under_load_answers_what_is_in_flight_and_exits_0():
    texts = [f"text number {number} of a request that takes its time" for number in range(60)]

    async def load(engines):
        await engines.load(node.url, MODEL, PATIENCE)
        requests = [
            asyncio.create_task(engines.embed(node.url, EmbedRequest(MODEL, texts), PATIENCE)) for _ in range(8)
        ]
        await waiting_at(engines, node.url, 8)
        node.terminate()
        replies = await asyncio.gather(*requests)
        with pytest.raises(GatewayError):  # the door is closed to what comes after
            await engines.embed(node.url, EmbedRequest(MODEL, texts[:1]), PATIENCE)
        return replies

    with engine() as node:
        replies = asyncio.run(calling(load))
        status, seconds = node.ended(GRACE)
        assert status == 0, node.printed
        assert seconds < GRACE
        assert [len(reply.token_counts) for reply in replies] == [60] * 8
        assert "Traceback" not in node.printed


def test_sigterm_does_not_wait_for_a_load_that_never_ends():
    """Its callers are told to go elsewhere, and the process ends although a thread of it hangs."""
    with socket.create_server(("127.0.0.1", 0)) as hub:  # accepts, and never says a word
        never = {"HF_ENDPOINT": f"http://127.0.0.1:{hub.getsockname()[1]}"}
        never |= {"HF_HUB_ETAG_TIMEOUT": "600", "HF_HUB_DOWNLOAD_TIMEOUT": "600", "HF_HUB_OFFLINE": "0"}

        async def wait(engines):
            request = EmbedRequest(ModelRef("someone/endless", "someone/endless"), ["x"])
            waiting = asyncio.create_task(engines.embed(node.url, request, PATIENCE))
            while not (await engines.status(node.url, PATIENCE)).models:
                await asyncio.sleep(0.01)
            node.terminate()
            with pytest.raises(GatewayError) as refused:
                await waiting
            return refused.value

        with engine(grace=3.0, **never) as node:
            error = asyncio.run(calling(wait))
            status, _ = node.ended(PATIENCE)
            assert status == 0, node.printed
            assert error.status == 503
            assert error.retry_after


def test_sigterm_does_not_wait_for_callers_who_dawdle():
    with engine() as node:
        address = ("127.0.0.1", int(node.url.rpartition(":")[2]))
        with socket.create_connection(address) as idle, socket.create_connection(address) as slow:
            idle.sendall(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
            assert idle.recv(4096).startswith(b"HTTP/1.1 200")
            head = f"POST /embed HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {SECRET}\r\ncontent-length: 100\r\n\r\n"
            slow.sendall(head.encode() + b"half of it")
            node.terminate()
            status, seconds = node.ended(PATIENCE)
        assert status == 0, node.printed
        assert seconds < GRACE / 2


def test_a_gateway_finds_a_node_again_that_was_killed_and_started_by_hand(filled):
    folder, key = filled
    with (
        engine() as first,
        Process("gateway", "--port", "0", "--data-dir", str(folder), "--node", first.url) as gateway,
    ):
        port = int(first.url.rpartition(":")[2])

        def embed():
            return httpx.post(
                f"{gateway.url}/v1/embeddings",
                json={"model": "mini", "input": "the same text"},
                headers={"authorization": f"Bearer {key}"},
                timeout=60,
            )

        before = until(lambda: (reply := embed()).status_code == 200 and reply, "the node is found").json()["data"]
        first.kill()
        waiting = []
        caller = threading.Thread(target=lambda: waiting.append(embed()))
        caller.start()  # while nobody is there: it waits for the node to come back
        with engine(port=port):
            caller.join(60)
            assert waiting[0].status_code == 200, waiting[0].text
            assert waiting[0].json()["data"] == before
            assert embed().status_code == 200
