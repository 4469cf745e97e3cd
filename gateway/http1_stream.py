"""A connection whose replies can be read as they come: the head first, then the body piece by piece.

A reader that is slow makes its peer wait: what has come and is not taken is bounded.
"""

import asyncio
from collections.abc import Callable

import httpx

from gateway.http1 import Connection, Reply

MOST_AHEAD = 256 * 1024
"""Bytes of a body that may wait for their reader."""


class StreamingConnection(Connection):
    """`begin`, then `piece` until it is empty; or `exchange`, as any connection. `limit` is that of whole replies."""

    def __init__(self, on_lost: Callable[[Connection], None], limit: int | None = None) -> None:
        super().__init__(on_lost, limit)
        self._whole_limit = limit
        self._news: asyncio.Event | None = None
        """While a reply is read as it comes: set when there is something to take."""
        self._complete = False
        self._failure: httpx.TransportError | None = None
        self._paused = False

    async def exchange(self, data: bytes, *, bodiless: bool, patience: float | None) -> Reply:
        """As any connection's."""
        self._limit = self._whole_limit
        return await super().exchange(data, bodiless=bodiless, patience=patience)

    async def begin(self, data: bytes, *, patience: float | None) -> Reply:
        """Send a request's bytes and wait for its reply's head; `patience` bounds the silence before it, in seconds."""
        self._news, self._complete, self._failure, self._limit = asyncio.Event(), False, None, None
        try:
            return await self._send(data, patience)
        except BaseException:
            self._waiter = self._news = None
            raise
        finally:
            self._stop_timer()

    async def piece(self, patience: float | None) -> bytes:
        """What has come since the last piece, empty at the end; `patience` bounds the wait for it, in seconds."""
        news = self._news
        if news is None:
            return b""
        if not news.is_set():
            try:
                async with asyncio.timeout(patience):
                    await news.wait()
            except TimeoutError as error:
                raise httpx.ReadTimeout(f"No byte of the reply for {patience:g} seconds.") from error
        if self._chunks:
            piece = b"".join(self._chunks)
            self._chunks.clear()
            self._received = 0
            if not self._complete and self._failure is None:
                news.clear()
            self._resume()  # at the end, too: the connection may be another request's next
            return piece
        if self._failure is not None:
            raise self._failure
        self._waiter = self._news = None
        return b""

    @property
    def complete(self) -> bool:
        """Whether the reply that is read as it comes has come to its end, and all of it was taken."""
        return self._complete and self._news is None

    def on_headers_complete(self) -> None:
        """Hand over the head of a reply that is read as it comes."""
        super().on_headers_complete()
        if self._headers_done and self._news is not None:
            super()._finish()

    def on_body(self, body: bytes) -> None:
        """Tell the reader, and have the peer wait for it where it is slow."""
        super().on_body(body)
        if self._news is not None:
            self._news.set()
            self._received += len(body)
            if self._received > MOST_AHEAD and not self._paused and self._transport is not None:
                self._paused = True
                self._transport.pause_reading()

    def _finish(self) -> None:
        if self._news is None:
            super()._finish()
            return
        if self._complete:  # two replies to one request: whose the second is nobody can tell
            self._reusable = False
        self._complete = True
        self._news.set()

    def _fail(self, error: httpx.TransportError) -> None:
        if self._news is None or (self._waiter is not None and not self._waiter.done()):
            super()._fail(error)
        elif not self._complete:
            self._failure = error
            self._news.set()

    def _resume(self) -> None:
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
