"""Work that ends when its caller leaves: servers tell of a closed connection only to those who listen."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar.types import Receive

from gateway.errors import ClientGone


@asynccontextmanager
async def attended(receive: Receive) -> AsyncIterator[None]:
    """Cancel the block when the client disconnects; the request's body must have been read before.

    Raises ClientGone then, after everything inside has been undone by its own cancellation.
    """
    work = asyncio.current_task()
    gone = False

    async def listen() -> None:
        nonlocal gone
        while (await receive())["type"] != "http.disconnect":
            continue
        gone = True
        if work is not None:
            work.cancel()

    listener = asyncio.create_task(listen())
    try:
        yield
    except asyncio.CancelledError:
        if gone and work is not None and work.uncancel() == 0:
            raise ClientGone from None
        raise
    finally:
        listener.cancel()
