"""Work that ends when its caller leaves: servers tell of a closed connection only to those who listen."""

import asyncio
from typing import Self

from litestar.types import Receive

from gateway.errors import ClientGone

LISTEN_AFTER = 0.02
"""Seconds of work before anybody listens: most of it has ended by then, and a timer costs a fifth of a task."""


class Attended:
    """A block that is cancelled when the client disconnects; the request's body must have been read before.

    Raises ClientGone then, after everything inside has been undone by its own cancellation.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._gone = False
        self._listener: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        self._work = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(LISTEN_AFTER, self._begin)
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self._timer.cancel()
        if self._listener is not None:
            self._listener.cancel()
        cancelled = self._gone and isinstance(error, asyncio.CancelledError)
        if cancelled and self._work is not None and self._work.uncancel() == 0:
            raise ClientGone from None

    def _begin(self) -> None:
        self._listener = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            continue
        self._gone = True
        if self._work is not None:
            self._work.cancel()
