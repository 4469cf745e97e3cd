import asyncio

import pytest

from engine.simulation.virtual_time import Stuck, VirtualWork, run


def test_a_day_passes_at_once_and_in_order():
    async def main():
        loop = asyncio.get_running_loop()
        order = []

        async def sleeper(seconds):
            await asyncio.sleep(seconds)
            order.append((seconds, loop.time()))

        await asyncio.gather(*(sleeper(seconds) for seconds in (86400.0, 0.1, 3600.0, 1e-9)))
        return order

    assert run(main()) == [(1e-9, 1e-9), (0.1, 0.1), (3600.0, 3600.0), (86400.0, pytest.approx(86400.0))]


def test_timers_far_from_zero_are_still_reached():
    async def main():
        await asyncio.sleep(1e9)
        await asyncio.sleep(1e-9)
        return asyncio.get_running_loop().time()

    assert run(main()) >= 1e9


def test_timeouts_are_virtual():
    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1000):
                await asyncio.sleep(1001)
        return asyncio.get_running_loop().time()

    assert run(main()) == 1000


def test_waiting_for_what_can_not_happen_is_an_error_that_names_who_waits():
    async def waits_in_vain():
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Stuck, match="waits_in_vain"):
        run(waits_in_vain())


def test_threads_are_refused():
    async def main():
        with pytest.raises(RuntimeError, match="virtual"):
            await asyncio.to_thread(print)

    run(main())


def test_a_job_takes_the_time_it_says_whether_it_succeeds_or_not():
    async def main():
        work, loop = VirtualWork(), asyncio.get_running_loop()
        ended = []

        def succeeds():
            work.spend(2.0, then=lambda: ended.append(loop.time()))
            work.spend(1.0)
            return "done"

        def fails():
            work.spend(0.5)
            raise ValueError("no")

        async def failing():
            with pytest.raises(ValueError, match="no"):
                await work(fails)
            return loop.time()

        assert await asyncio.gather(work(succeeds), failing()) == ["done", 0.5]
        assert loop.time() == 3.0
        assert ended == [3.0]

    run(main())
