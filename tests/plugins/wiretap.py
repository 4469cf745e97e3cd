"""Stands between clients and a server: keeps what went over the wire, and misbehaves where it is told to.

A client shows a label where its API key belongs. The tap puts the key in its place for which the label stands, and
passes the request on as it is otherwise; or it answers by itself. So every request is known by who asked what, whatever
wire it came by.
"""

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

import httpx

LABEL = re.compile(r"label-\d+")
OF_ONE_HOP = {"connection", "transfer-encoding", "content-length", "host", "keep-alive"}


@dataclass(frozen=True)
class Fault:
    """What the tap answers by itself; without a status it closes the connection."""

    status: int | None = None
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """A request and how it was answered."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any
    status: int | None


class Wiretap:
    """At `url`, in front of the server; a context manager."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._numbers = count(1)
        self._meant: dict[str, str | Fault] = {}
        self._seen: dict[str, list[Seen]] = {}
        self._client = httpx.Client(timeout=120, limits=httpx.Limits(max_connections=None))
        self._http = Listener(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), name="wiretap")

    def __enter__(self) -> "Wiretap":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._thread.join(10)
        self._http.server_close()
        self._client.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def label(self, meant: str | Fault) -> str:
        """A label that stands for this API key, or for this answer."""
        label = f"label-{next(self._numbers)}"
        self._meant[label], self._seen[label] = meant, []
        return label

    def seen(self, label: str) -> list[Seen]:
        """What was asked under this label, in order."""
        return self._seen[label]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        tap = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                tap._serve(self)

            do_GET = do_POST  # noqa: N815 - http.server calls it so

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        body, headers = body_of(handler), {name.lower(): value for name, value in handler.headers.items()}
        label = next((found.group() for value in headers.values() if (found := LABEL.search(value))), None)
        meant = self._meant.get(label or "")
        answer = Fault(400, b'{"error": {"message": "no label"}}') if meant is None else meant
        if isinstance(answer, str):
            answer = self._passed_on(handler, {**headers}, label or "", answer, body)
        if label in self._seen:
            content = json.loads(body) if body[:1] in (b"{", b"[") else None
            self._seen[label].append(Seen(handler.command, handler.path, headers, content, answer.status))
        if answer.status is None:
            handler.close_connection = True
            return
        handler.send_response_only(answer.status)
        for name, value in {"content-type": "application/json", **answer.headers}.items():
            handler.send_header(name, value)
        handler.send_header("content-length", str(len(answer.body)))
        handler.end_headers()
        handler.wfile.write(answer.body)

    def _passed_on(
        self, handler: BaseHTTPRequestHandler, headers: dict[str, str], label: str, key: str, body: bytes
    ) -> Fault:
        sent = {name: value.replace(label, key) for name, value in headers.items() if name not in OF_ONE_HOP}
        request = self._client.build_request(handler.command, self._server + handler.path, content=body)
        request.headers = httpx.Headers({**sent, "host": request.headers["host"], "content-length": str(len(body))})
        response = self._client.send(request, stream=True)
        try:
            content = b"".join(response.iter_raw())
        finally:
            response.close()
        kept = {name: value for name, value in response.headers.items() if name not in OF_ONE_HOP}
        return Fault(response.status_code, content, kept)


def body_of(handler: BaseHTTPRequestHandler) -> bytes:
    """Of known length, or in chunks."""
    if handler.headers.get("transfer-encoding", "").lower() != "chunked":
        return handler.rfile.read(int(handler.headers.get("content-length", 0)))
    parts = []
    while length := int(handler.rfile.readline().split(b";")[0], 16):
        parts.append(handler.rfile.read(length))
        handler.rfile.readline()
    handler.rfile.readline()
    return b"".join(parts)


class Listener(ThreadingHTTPServer):
    """Takes as many connections at once as clients open, and minds none that breaks."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        pass
