"""Background work comes again and again, and the end waits for what is under way."""

import asyncio

from gateway.services.periodic import Periodic


def test_work_is_repeated_until_the_end_and_not_after() -> None:
    async def run() -> tuple[int, int]:
        rounds = asyncio.Semaphore(0)
        done = 0

        async def work() -> None:
            nonlocal done
            done += 1
            rounds.release()

        periodic = Periodic(work, 0.001, "test")
        for _ in range(3):
            await asyncio.wait_for(rounds.acquire(), 10)
        await periodic.close()
        at_end = done
        await asyncio.sleep(0.01)
        return at_end, done

    at_end, later = asyncio.run(run())
    assert 3 <= at_end == later


def test_the_end_waits_for_work_under_way() -> None:
    async def run() -> list[str]:
        began, finish, told = asyncio.Event(), asyncio.Event(), []

        async def work() -> None:
            began.set()
            await finish.wait()
            told.append("finished")

        periodic = Periodic(work, 0.001, "test")
        await asyncio.wait_for(began.wait(), 10)
        closing = asyncio.create_task(periodic.close())
        await asyncio.sleep(0)
        finish.set()
        await closing
        return told

    assert asyncio.run(run()) == ["finished"]
