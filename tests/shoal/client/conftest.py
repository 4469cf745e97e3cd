"""A server that answers as a test tells it to, and both clients in front of it."""

import asyncio
import json
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from shoal.client import AsyncShoal, Shoal

KEY = "sk-shoal-tests-4be1f7a0c93d"


@dataclass
class Asked:
    method: str
    path: str
    headers: dict
    body: dict | None
    at: float


@dataclass
class Scripted:
    """Answers with what lies in `script`, and with `usual` once that is used up."""

    script: deque = field(default_factory=deque)
    asked: list = field(default_factory=list)
    usual: object = None
    url: str = ""
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self, asked):
        with self.lock:
            self.asked.append(asked)
            step = self.script.popleft() if self.script else self.usual
        return step(asked) if callable(step) else step


def embeddings(asked, width=2):
    """Vectors that tell the text's place in its request and its length."""
    data = [
        {"index": place, "embedding": [float(place), float(len(text))][:width]}
        for place, text in enumerate(asked.body["input"])
    ]
    return 200, {"data": data, "usage": {"total_tokens": len(data)}}, {}


@pytest.fixture
def scripted():
    state = Scripted(usual=embeddings)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            content = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, self.path, headers, json.loads(content) if content else None, time.monotonic())
            with state.lock:
                state.at_once += 1
                state.most_at_once = max(state.most_at_once, state.at_once)
            answer = state.next(asked)
            with state.lock:
                state.at_once -= 1
            if answer is None:
                self.close_connection = True
                return
            status, reply, headers = answer
            body = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
            self.send_response(status)
            for name, value in {"content-length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            self.do_POST()

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_):  # a client that broke off
            pass

    server = Server(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield state
    server.shutdown()
    thread.join(10)
    server.server_close()


@pytest.fixture(params=["blocking", "asynchronous"])
def ask(request, scripted):
    """Have a client of either kind do something: `ask(lambda shoal: shoal.embed(…), max_retries=0)`."""

    def with_threads(what, **options):
        with Shoal(**{"url": scripted.url, "api_key": KEY} | options) as shoal:
            return what(shoal)

    def with_a_loop(what, **options):
        async def main():
            async with AsyncShoal(**{"url": scripted.url, "api_key": KEY} | options) as shoal:
                return await what(shoal)

        return asyncio.run(main())

    return with_threads if request.param == "blocking" else with_a_loop
