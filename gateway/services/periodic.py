"""Work that is done again and again in the background, and never cut off in the middle of a transaction."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

CLOSE_PATIENCE = 5.0
"""Seconds that work under way gets to finish once the end has come."""


class Periodic:
    """Calls `work` every `interval` seconds, from one interval after now, or sooner. `work` must not raise."""

    def __init__(self, work: Callable[[], Awaitable[None]], interval: float, name: str) -> None:
        self._work = work
        self._interval = interval
        self._called = asyncio.Event()
        self._ending = False
        self._task = asyncio.create_task(self._run(), name=name)

    def hurry(self) -> None:
        """Do not wait for the interval to end; once more, where work is under way."""
        self._called.set()

    async def close(self) -> None:
        """Start no more work, and wait for what is under way; cancel it only where it takes too long."""
        self._ending = True
        self._called.set()
        await asyncio.wait([self._task], timeout=CLOSE_PATIENCE)
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._interval):
                    await self._called.wait()
            if self._ending:
                return
            self._called.clear()
            await self._work()
