"""One HTTP/1.1 connection of our own making: a request written whole, its reply read whole, one at a time.

httptools parses; content-length, chunked and read-until-close replies are understood, interim (1xx) ones skipped. What
a peer can make us hold is bounded where a limit is given. http1_stream.py reads replies as they come.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple, cast

import httptools
import httpx

MOST_HEAD = 256 * 1024
"""Bytes that may come before a reply's head is complete."""


class ReplyTooLarge(httpx.RemoteProtocolError):
    """The peer sent more than it may."""


class Reply(NamedTuple):
    """A reply, read whole."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Connection(asyncio.Protocol):
    """Speaks to one peer; `on_lost` is called once, when the connection has ended for whatever reason.

    `limit`: bytes that a reply's body may have.
    """

    def __init__(self, on_lost: Callable[["Connection"], None], limit: int | None = None) -> None:
        self.heard_back = False
        """Whether any byte of the current reply has arrived."""
        self.idle_since = 0.0
        self._loop = asyncio.get_running_loop()
        self._on_lost = on_lost
        self._limit = limit
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Reply] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._reusable = True
        self._begin_reply()

    @property
    def usable(self) -> bool:
        """Whether another request may be sent."""
        return self._reusable and self._transport is not None and not self._transport.is_closing()

    async def exchange(self, data: bytes, *, bodiless: bool, patience: float | None) -> Reply:
        """Send a request's bytes and wait for its reply; `patience` bounds the silence in between, in seconds.

        `bodiless`: the reply has no body whatever its headers say (HEAD).
        """
        waiter = self._send(data, patience)
        self._bodiless = bodiless
        try:
            return await waiter
        finally:
            self._waiter = None
            self._stop_timer()

    def close(self) -> None:
        """End the connection now; a reply that is waited for fails."""
        self._reusable = False
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Parse; bytes that nobody asked for end the connection."""
        if self._waiter is None:
            self.close()
            return
        self.heard_back = True
        self._last_heard = self._loop.time()
        try:
            self._parser.feed_data(data)
            if not self._headers_done:
                self._count(len(data), MOST_HEAD)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(httpx.RemoteProtocolError(f"The reply is not HTTP/1.1: {error}"))
            self.close()

    def eof_received(self) -> bool:
        """The peer is done: a reply without a length is complete now."""
        if self._headers_done and self._ends_with_connection:
            self.on_message_complete()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the reply that is waited for, if one is."""
        self._reusable = False
        if exc is None:
            self._fail(httpx.RemoteProtocolError("The peer closed the connection without a complete reply."))
        else:
            self._fail(httpx.ReadError(str(exc)))
        self._on_lost(self)

    # httptools callbacks

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self._headers.append((name, value))
        if name.lower() in {b"content-length", b"transfer-encoding"}:
            self._ends_with_connection = False

    def on_headers_complete(self) -> None:
        """Tell interim replies, and replies without a body, from others."""
        self._status = self._parser.get_status_code()
        self._headers_done = self._status >= 200
        if self._headers_done:
            self._received = 0
        if self._headers_done and self._bodiless:
            self._reusable = False
            self._finish()

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        self._chunks.append(body)
        if self._limit is not None:
            self._count(len(body), self._limit)

    def on_message_complete(self) -> None:
        """Hand the reply over, or forget it if it was an interim one."""
        if not self._headers_done:
            self._headers.clear()
            self._ends_with_connection = True
            return
        self._reusable = self._reusable and not self._ends_with_connection and bool(self._parser.should_keep_alive())
        self._finish()

    # the current reply

    def _send(self, data: bytes, patience: float | None) -> asyncio.Future[Reply]:
        """Write a request; what will be its reply."""
        if self._transport is None or self._transport.is_closing():
            raise httpx.RemoteProtocolError("The connection was closed before the request was sent.")
        self._begin_reply()
        self.heard_back = False
        waiter: asyncio.Future[Reply] = self._loop.create_future()
        self._waiter = waiter
        if patience is not None:
            self._timer = self._loop.call_later(patience, self._check_silence, patience)
        self._transport.write(data)
        return waiter

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _begin_reply(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._chunks: list[bytes] = []
        self._received = 0
        self._headers_done = False
        self._ends_with_connection = True
        self._bodiless = False
        self._last_heard = self._loop.time()

    def _finish(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(Reply(self._status, self._headers, b"".join(self._chunks)))

    def _fail(self, error: httpx.TransportError) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)

    def _check_silence(self, patience: float) -> None:
        silent = self._loop.time() - self._last_heard
        if silent >= patience:
            self._fail(httpx.ReadTimeout(f"No byte of the reply for {patience:g} seconds."))
        else:
            self._timer = self._loop.call_later(patience - silent, self._check_silence, patience)

    def _count(self, more: int, limit: int) -> None:
        """Count bytes that came; too many end the connection."""
        self._received += more
        if self._received > limit:
            self._fail(ReplyTooLarge(f"The reply has more than {limit} bytes."))
            self.close()
