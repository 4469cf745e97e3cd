"""Keeps a child process alive: restarts it with backoff when it dies, stops it when we stop.

The child leads a session of its own, so that a Ctrl-C reaches this process alone and what depends on it can finish
first; and its standard input is held open by us, so that it goes when we are gone, however we went.
"""

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog

FIRST_BACKOFF = 0.5
LONGEST_BACKOFF = 30.0
HEALTHY_AFTER = 30.0
"""Seconds alive after which a death counts as the first again."""

log = structlog.get_logger("shoal.supervisor")


def next_backoff(previous: float, lived: float) -> float:
    """Seconds to wait before the next start: doubles with each early death, starts over after a healthy life."""
    if lived >= HEALTHY_AFTER:
        return FIRST_BACKOFF
    return min(LONGEST_BACKOFF, max(FIRST_BACKOFF, previous * 2))


Start = Callable[[], Awaitable[asyncio.subprocess.Process]]
"""Starts the child."""


def piped(command: Sequence[str], environment: Mapping[str, str]) -> Start:
    """A child that is given nothing but the pipe."""

    async def start() -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *command, env=environment, stdin=asyncio.subprocess.PIPE, start_new_session=True
        )

    return start


class Supervisor:
    """Runs a child until `stop`; `run` is the task that watches it. `name` is for the log."""

    def __init__(self, start: Start, name: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._start = start
        self._name = name
        self._clock = clock
        self._child: asyncio.subprocess.Process | None = None
        self._stopping = False
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        """The child's process id while it lives."""
        return self._child.pid if self._child is not None and self._child.returncode is None else None

    async def run(self) -> None:
        """Start the child, and start it again whenever it dies, until stopped."""
        backoff = 0.0
        while True:
            started = self._clock()
            self._child = await self._start()
            status = await self._child.wait()
            if self._stopping:
                return
            backoff = next_backoff(backoff, self._clock() - started)
            self.restarts += 1
            log.error(
                "stopped; starting it again", what=self._name, how=describe_exit(status), seconds=round(backoff, 1)
            )
            await asyncio.sleep(backoff)

    def kill(self) -> None:
        """End a child that lives and does nothing; `run` starts it again."""
        if self._child is not None and self._child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._child.kill()

    async def stop(self, grace_period: float) -> None:
        """End the child: SIGTERM, and SIGKILL where it has not gone within `grace_period` seconds."""
        self._stopping = True
        child = self._child
        if child is None or child.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(child.wait(), grace_period)
        except TimeoutError:
            log.warning("did not stop in time; killed", what=self._name, seconds=grace_period)
            self.kill()
            await child.wait()


def describe_exit(status: int) -> str:
    """Exit status in words: `exit 1`, `SIGKILL`."""
    return f"exit {status}" if status >= 0 else signal.Signals(-status).name


async def parent_gone() -> None:
    """Return when the process at the other end of our standard input has gone (for a supervised child)."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()
