"""Who waits how long when others want everything: the real scheduler and residency on virtual time.

Every bound is the one that lanes.py, turns.py and fairness.py in engine/scheduling state, in tokens; the device of
these tests takes `SECONDS` for a token and nothing else, so tokens are time.
"""

import asyncio
from contextlib import asynccontextmanager

import pytest

from engine.protocol import ModelRef
from engine.residency import LoadPlan, Residency
from engine.scheduler import TURN_BATCHES, Scheduler
from engine.scheduling.fairness import QUANTUM
from engine.scheduling.lanes import SMALL
from engine.simulation.fake import FakeMachine, FakeSpec, fake_tokens
from engine.simulation.virtual_time import run

SECONDS = 1e-4
BATCH = 1024
UNDER_WAY = 2 * BATCH
"""Tokens of the batch that runs and of the one that is prepared, when somebody comes."""
LONG = 512


class Node:
    """Counts the tokens served by flow and lane."""

    def __init__(self):
        loop = asyncio.get_running_loop()
        self.machine = FakeMachine(pack_seconds=0.0)
        self.served = {}
        self.residency = Residency(budget=1000, plan=self._plan, work=self.machine.work, clock=loop.time)
        self.scheduler = Scheduler(work=self.machine, batch_tokens=BATCH, workers=1, max_waiting_tokens=10**9)
        self._flooding = []

    def _plan(self, ref, _progress):
        spec = FakeSpec(10, load_seconds=0.0, seconds_per_token=SECONDS, seconds_per_batch=0.0)
        return LoadPlan(spec.bytes, lambda: self.machine.load(spec))

    async def ask(self, *lengths, model="one", flow="", **settings):
        """Tokens that could have been served between asking and being answered, one's own not counted."""
        loop = asyncio.get_running_loop()
        async with self.residency.acquire(ModelRef(id=model, source="fake")) as loaded:
            asked = loop.time()
            await self.scheduler.run(loaded, [fake_tokens(length) for length in lengths], flow=flow, **settings)
        self.served[flow] = self.served.get(flow, 0) + sum(lengths)
        return (loop.time() - asked) / SECONDS - sum(lengths)

    def flood(self, length, at_once, **settings):
        """Somebody who always has so many texts waiting."""

        async def keep_asking():
            while True:
                await self.ask(length, **settings)

        self._flooding += [asyncio.create_task(keep_asking()) for _ in range(at_once)]

    async def close(self):
        for task in self._flooding:
            task.cancel()
        await asyncio.gather(*self._flooding, return_exceptions=True)
        await self.scheduler.close()
        await self.residency.close()


@asynccontextmanager
async def opened():
    node = Node()
    try:
        yield node
    finally:
        await node.close()


def test_a_long_text_in_a_flood_of_short_ones_waits_for_those_before_it_alone():
    """Of one flow: oldest first, so what comes later passes nobody."""

    async def main():
        async with opened() as node:
            node.flood(8, at_once=1000)
            await asyncio.sleep(1.0)
            for _ in range(5):
                assert await node.ask(LONG) <= 8 * 1000 + UNDER_WAY

    run(main())


def test_a_long_text_of_its_own_flow_waits_for_one_turn_of_the_others():
    async def main():
        async with opened() as node:
            for number in range(50):
                node.flood(8, at_once=40, flow=f"noisy {number}")
            await asyncio.sleep(1.0)
            for _ in range(5):
                # The batch that it closes may leave out what does not fit: one batch more.
                assert await node.ask(LONG, flow="long") <= UNDER_WAY + (QUANTUM + 8) + BATCH
                await asyncio.sleep(10.0)  # till its fair share covers the next one

    run(main())


def test_one_quiet_flow_among_a_hundred_noisy_ones_is_served_behind_one_turn():
    async def main():
        async with opened() as node:
            for number in range(100):
                node.flood(30, at_once=50, flow=f"noisy {number}")
            await asyncio.sleep(1.0)
            for _ in range(20):
                assert await node.ask(30, flow="quiet") <= UNDER_WAY + (QUANTUM + 30) + BATCH
                await asyncio.sleep(1.0)

    run(main())


def test_flows_that_always_wait_share_by_weight_whatever_each_of_them_sends():
    async def main():
        async with opened() as node:
            node.flood(200, at_once=50, flow="long texts")
            node.flood(5, at_once=2000, flow="short texts")
            node.flood(50, at_once=200, flow="double", weight=2.0)
            await asyncio.sleep(20.0)
            return dict(node.served)

    served = run(main())
    assert served["long texts"] == pytest.approx(served["short texts"], rel=0.05)
    assert served["double"] == pytest.approx(2 * served["short texts"], rel=0.05)


def test_bulk_gets_its_share_under_full_interactive_load():
    async def main():
        async with opened() as node:
            node.flood(30, at_once=300, flow="interactive")
            node.flood(200, at_once=100, flow="bulk", lane="bulk")
            await asyncio.sleep(20.0)
            return node.served["bulk"] / (node.served["bulk"] + node.served["interactive"])

    assert run(main()) == pytest.approx(0.1, abs=0.01)


def test_interactive_waits_stay_flat_under_full_bulk_load():
    async def main():
        async with opened() as node:
            node.flood(200, at_once=500, flow="bulk", lane="bulk")
            await asyncio.sleep(1.0)
            waits = []
            for _ in range(200):
                waits.append(await node.ask(30, flow="somebody"))
                await asyncio.sleep(0.02)
            return sorted(waits)

    waits = run(main())
    assert waits[-1] <= BATCH
    assert waits[197] <= BATCH // SMALL + 200


def test_a_model_waits_for_at_most_one_turn_of_each_other_model():
    others = 20

    async def main():
        async with opened() as node:
            for number in range(others):
                node.flood(30, at_once=200, model=f"busy {number}")
            await asyncio.sleep(1.0)
            turn = (TURN_BATCHES + 1) * BATCH
            for _ in range(3):
                assert await node.ask(30, model="quiet") <= UNDER_WAY + others * turn

    run(main())
