"""Time that passes only when nothing is left to do: an event loop that jumps to its next timer.

A minute of waiting costs no time, and two runs of the same program are alike to the last callback. For tests and
simulations of what lives on one event loop. There are no threads and no sockets here: what would wait for one is
refused, and so is waiting for what can never happen.
"""

import asyncio
import math
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")


class Stuck(RuntimeError):
    """Tasks wait, and no timer is left that could wake them."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose `time()` starts at 0 and jumps to the next timer when nothing is ready."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_NoSockets(self._wait))

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now

    def run_in_executor(self, *_: object) -> NoReturn:
        """Refused: a thread would not wait for virtual time."""
        raise RuntimeError("A thread was asked for on virtual time; give the work a seam that takes virtual seconds.")

    def _wait(self, seconds: float | None) -> None:
        """Jump to the next timer, so many seconds ahead; None where there is none."""
        if seconds is None:
            names = sorted(_name(task) for task in asyncio.all_tasks(self))
            raise Stuck(f"At {self._now:.6f} s nothing is left to happen, and {len(names)} tasks wait: {names[:20]}")
        if seconds > 0:
            self._now = max(self._now + seconds, math.nextafter(self._now, math.inf))
            # asyncio takes timers that are less than this ahead; at 0 or below the float's step it would take none.
            self._clock_resolution = math.ulp(self._now)


class _NoSockets(selectors.SelectSelector):
    """Finds no socket ready, ever; where asked to wait for one, the time passes at once."""

    def __init__(self, wait: Callable[[float | None], None]) -> None:
        super().__init__()
        self._wait = wait

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._wait(timeout)
        return []


class VirtualWork:
    """Blocking jobs without threads: a job says by `spend` how long it takes, and is awaited for that long."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._then: list[Callable[[], object]] = []

    def spend(self, seconds: float, then: Callable[[], object] | None = None) -> None:
        """The job under way takes so much longer, and ends with `then`. Called by the job."""
        self._seconds += seconds
        if then is not None:
            self._then.append(then)

    async def __call__(self, job: Callable[[], T]) -> T:
        """Run the job now, and have its outcome, or its error, when its time has passed."""
        self._seconds, self._then = 0.0, []
        try:
            outcome = job()
        except Exception:
            await asyncio.sleep(self._seconds)
            raise
        ends = self._then
        try:
            await asyncio.sleep(self._seconds)
        finally:
            for end in ends:
                end()
        return outcome


def run(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` on virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def _name(task: "asyncio.Task[Any]") -> str:
    coroutine = task.get_coro()
    return getattr(coroutine, "__qualname__", task.get_name())
