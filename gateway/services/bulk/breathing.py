"""Long work in small pieces on the event loop that serves callers: it never takes more than its share of it."""

import asyncio
from collections.abc import Callable
from time import perf_counter

TURN = 0.002
"""Seconds of work after which others get as long. Pieces between two breaths are to be shorter still."""


class Breather:
    """Of one line of work."""

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._began = clock()
        self._worked = 0.0

    def begin(self) -> None:
        """Work begins after something was waited for."""
        self._began = self._clock()

    async def breathe(self) -> None:
        """Let others have the loop: at once if they are there, and for as long as we had it if that was long."""
        self._worked += self._clock() - self._began
        if self._worked >= TURN:
            pause, self._worked = self._worked, 0.0
            await asyncio.sleep(pause)
        else:
            await asyncio.sleep(0)
        self._began = self._clock()
