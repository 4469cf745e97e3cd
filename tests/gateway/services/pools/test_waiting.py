"""Pools without a node: who waits, for how long, and what is known of it meanwhile."""

import asyncio
import time

import pytest

from gateway.errors import Unavailable
from gateway.services.pools.node import Member


def test_requests_for_a_pool_without_nodes_are_demand_from_the_first_moment_and_wait_for_one(
    following, fake_engine, until
):
    async def run():
        async with following() as fleet, fake_engine() as engine:
            waiting = [asyncio.create_task(fleet.embed("__sleep 0.2__")) for _ in range(3)]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert (fleet.pool.waiting, fleet.pool.in_flight) == (3, 0)
            fleet.nodes.set_pool("default", [Member("one", engine.url, fleet.engines)])
            await until(lambda: fleet.pool.in_flight == 3)
            assert (fleet.pool.waiting, fleet.pool.in_flight) == (0, 3)
            await asyncio.gather(*waiting)
            assert fleet.pool.waiting + fleet.pool.in_flight == 0

    asyncio.run(run())


def test_callers_who_leave_stop_counting(following, until):
    async def run():
        async with following() as fleet:
            waiting = asyncio.create_task(fleet.embed())
            await until(lambda: fleet.pool.waiting == 1)
            waiting.cancel()
            await asyncio.wait([waiting])
            assert fleet.pool.waiting + fleet.pool.in_flight == 0

    asyncio.run(run())


def test_more_than_may_wait_are_told_at_once_to_come_back(following, until):
    async def run():
        async with following(pool_waiting=2, pool_patience=60) as fleet:
            waiting = [asyncio.create_task(fleet.embed()) for _ in range(2)]
            await until(lambda: fleet.pool.waiting == 2)
            began = time.monotonic()
            with pytest.raises(Unavailable) as caught:
                await fleet.embed()
            assert time.monotonic() - began < 5
            assert caught.value.code == "too_many_waiting"
            assert caught.value.retry_after >= 1
            for one in waiting:
                one.cancel()
            await asyncio.wait(waiting)

    asyncio.run(run())


def test_a_pool_may_have_a_patience_of_its_own_and_a_caller_less(following):
    async def run():
        async with following(pool_patience=60) as fleet:
            fleet.nodes.set_pool("brisk", [])
            began = time.monotonic()
            with pytest.raises(Unavailable):
                await fleet.embed(pool="brisk")
            with pytest.raises(Unavailable):
                await fleet.embed(patience=0.05)
            assert time.monotonic() - began < 5

    asyncio.run(run())


def test_a_node_that_leaves_the_pool_finishes_what_it_does(following, fake_engine, until):
    async def run():
        async with fake_engine() as one, fake_engine() as two, following(one.url) as fleet:
            under_way = asyncio.create_task(fleet.embed("__sleep 0.3__"))
            await until(lambda: one.calls == 1)
            fleet.nodes.set_pool("default", [Member("two", two.url, fleet.engines)])
            assert (await fleet.embed()).token_counts
            assert (one.calls, two.calls, fleet.pool.in_flight) == (1, 1, 1)
            assert (await under_way).token_counts
            assert fleet.pool.in_flight == 0

    asyncio.run(run())


def test_a_pool_can_go_and_come_again(following, fake_engine):
    async def run():
        async with fake_engine() as engine, following() as fleet:
            fleet.nodes.set_pool("other", [Member("one", engine.url, fleet.engines)], alike=True)
            assert (await fleet.embed(pool="other")).token_counts
            fleet.nodes.remove_pool("other")
            with pytest.raises(Unavailable):
                await fleet.embed(pool="other")
            fleet.nodes.set_pool("other", [Member("one", engine.url, fleet.engines)], alike=True)
            assert (await fleet.embed(pool="other")).token_counts

    asyncio.run(run())


def test_a_stream_counts_until_its_end_and_is_not_begun_anew(following, fake_engine, until):
    async def run():
        async with fake_engine() as engine, following(engine.url) as fleet:
            begun = []

            async def begin(node, seconds):
                begun.append(node)
                return "first piece"

            async with fleet.nodes.streaming("default", "m", begin) as reply:
                assert reply == "first piece"
                assert (fleet.pool.waiting, fleet.pool.in_flight) == (0, 1)
            assert fleet.pool.in_flight == 0
            with pytest.raises(RuntimeError):
                async with fleet.nodes.streaming("default", "m", begin):
                    raise RuntimeError
            assert len(begun) == 2
            assert fleet.pool.in_flight == 0

    asyncio.run(run())
