"""The seam between what blocks and the event loop: threads as a rule, virtual time in simulations."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import Protocol, TypeVar

T = TypeVar("T")

LOADER = "load"
"""The name of the threads that run jobs."""


class Work(Protocol):
    """Runs a blocking job beside the event loop. If its caller is cancelled its outcome is dropped."""

    async def __call__(self, job: Callable[[], T]) -> T:
        """The job's outcome."""
        ...


async def threads(job: Callable[[], T]) -> T:
    """Run each job in a thread of its own."""
    return await asyncio.wrap_future(beside(job))


def beside(job: Callable[[], T]) -> "Future[T]":
    """Run a job in a thread that ends with it.

    Threads that once ran parallel work keep their OpenMP pools, which slow down the pools of the threads that run
    models. And a daemon, unlike a pool's thread, does not hold up the end of the process when its job never ends.
    """
    outcome: Future[T] = Future()
    outcome.set_running_or_notify_cancel()  # from here on a cancelled caller can not cancel it

    Thread(target=_run, args=(job, outcome), name=LOADER, daemon=True).start()
    return outcome


def _run(job: Callable[[], T], outcome: "Future[T]") -> None:
    try:
        result = job()
    except BaseException as error:  # noqa: BLE001 - it is the waiting caller's
        outcome.set_exception(error)
    else:
        outcome.set_result(result)
        del result
    finally:
        # The error's traceback holds this frame, and with these it would hold itself, and all that the job had made.
        del job, outcome
