"""A child that dies is started again, later each time; one that is told to go, goes."""

import asyncio
import sys

import pytest

from shoal.supervisor import (
    FIRST_BACKOFF,
    HEALTHY_AFTER,
    LONGEST_BACKOFF,
    Supervisor,
    describe_exit,
    next_backoff,
    piped,
)


@pytest.mark.parametrize(
    ("previous", "lived", "expected"),
    [
        (0.0, 0.1, FIRST_BACKOFF),
        (FIRST_BACKOFF, 0.1, 2 * FIRST_BACKOFF),
        (20.0, 0.1, LONGEST_BACKOFF),
        (LONGEST_BACKOFF, 0.1, LONGEST_BACKOFF),
        (LONGEST_BACKOFF, HEALTHY_AFTER, FIRST_BACKOFF),
    ],
)
def test_backoff_doubles_to_a_bound_and_starts_over_after_a_healthy_life(previous, lived, expected) -> None:
    assert next_backoff(previous, lived) == expected


def test_exits_are_told_in_words() -> None:
    assert describe_exit(3) == "exit 3"
    assert describe_exit(-9) == "SIGKILL"


async def until(condition) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def supervise(program: str, watch) -> Supervisor:
    supervisor = Supervisor(piped([sys.executable, "-c", program], {}), "child")
    watching = asyncio.create_task(supervisor.run())
    try:
        await watch(supervisor)
    finally:
        await supervisor.stop(grace_period=0.2)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    return supervisor


def test_a_child_that_dies_is_started_again() -> None:
    async def watch(supervisor: Supervisor) -> None:
        await until(lambda: supervisor.restarts == 2)

    asyncio.run(supervise("raise SystemExit(1)", watch))


def test_a_child_that_ignores_the_request_to_stop_is_killed() -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"

    async def watch(supervisor: Supervisor) -> None:
        await until(lambda: supervisor.pid is not None)

    supervisor = asyncio.run(supervise(deaf, watch))
    assert supervisor.pid is None
    assert supervisor.restarts == 0


def test_a_child_ends_with_the_pipe_from_its_parent() -> None:
    waits_for_us = "import asyncio; from shoal.supervisor import parent_gone; asyncio.run(parent_gone())"

    async def run() -> int:
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", waits_for_us, stdin=asyncio.subprocess.PIPE)
        assert child.stdin is not None
        child.stdin.close()
        return await asyncio.wait_for(child.wait(), 20)

    assert asyncio.run(run()) == 0


def test_a_child_that_hangs_can_be_killed_and_is_started_again() -> None:
    async def watch(supervisor: Supervisor) -> None:
        await until(lambda: supervisor.pid is not None)
        hung = supervisor.pid
        supervisor.kill()
        await until(lambda: supervisor.pid not in (None, hung))
        assert supervisor.restarts == 1

    asyncio.run(supervise("import time; time.sleep(60)", watch))
