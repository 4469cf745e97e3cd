"""One connection of the load generator: bytes out, a status and a body back, at the least cost."""

import asyncio
from collections.abc import Callable
from typing import cast
from urllib.parse import urlsplit

import httptools


class Connection(asyncio.Protocol):
    """Sends one request at a time and hands its reply to `on_reply`, from inside which the next may be sent."""

    def __init__(self, on_reply: Callable[["Connection", int, bytes], None]) -> None:
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.usable = False
        self.started = 0.0
        """When the last request was due; what its latency is counted from."""
        self.awaiting_reply = False
        self._on_reply = on_reply
        self._parser = httptools.HttpResponseParser(self)
        self._chunks: list[bytes] = []

    def send(self, request: bytes, started: float) -> None:
        """Send a whole request."""
        self.started = started
        self.awaiting_reply = True
        self._transport.write(request)

    def close(self) -> None:
        """End it now."""
        self.usable = False
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: open."""
        self._transport = cast(asyncio.Transport, transport)
        self.usable = True

    def data_received(self, data: bytes) -> None:
        """asyncio: part of a reply."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        """asyncio: closed, by whomever."""
        self.usable = False
        if not self.lost.done():
            self.lost.set_result(None)

    def on_body(self, body: bytes) -> None:
        """httptools: part of a body."""
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        """httptools: the end of a reply."""
        status = self._parser.get_status_code()
        if status < 200:
            return
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self.awaiting_reply = False
        if not self._parser.should_keep_alive():
            self.usable = False
            self._transport.close()
        self._on_reply(self, status, body)


async def connect(url: str, connection: Connection) -> None:
    """Open `connection` to the scheme, host and port of `url`. Raises OSError."""
    address = urlsplit(url)
    secure = address.scheme == "https"
    port = address.port or (443 if secure else 80)
    host = address.hostname or ""
    await asyncio.get_running_loop().create_connection(lambda: connection, host, port, ssl=secure or None)
