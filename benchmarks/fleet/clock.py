"""Events on virtual time, the earliest first: no tasks and no timers, so that a thousand nodes are quick."""

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Any


class Clock:
    """Virtual seconds and what is to happen; events of one moment happen in the order in which they were set."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._numbers = count()

    def after(self, seconds: float, do: Callable[..., object], *of: Any) -> None:
        """Have it done so much later."""
        heappush(self._events, (self.now + seconds, next(self._numbers), do, of))

    def until(self, moment: float) -> None:
        """Let everything happen that is due before then."""
        while self._events and self._events[0][0] <= moment:
            self.now, _, do, of = heappop(self._events)
            do(*of)
        self.now = moment
