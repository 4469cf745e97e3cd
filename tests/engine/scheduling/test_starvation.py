"""The scheduler under floods, on virtual time: a device of 1,000 tokens a second and batches of 100 tokens."""

import asyncio
import random

import numpy as np
import pytest

from engine.encoded import Encoded
from engine.scheduler import Scheduler
from engine.scheduling.lanes import SMALL
from engine.simulation.virtual_time import run

SPEED = 1000.0
BATCH = 100


class Timed:
    """A device that takes a second for SPEED tokens."""

    def __init__(self):
        self.served = []

    async def pack(self, model, encoded):
        return encoded

    async def run(self, model, packed):
        tokens = sum(map(len, packed))
        await asyncio.sleep(tokens / SPEED)
        self.served.append((model, tokens))
        return [np.array([len(ids)], dtype=np.float32) for ids in packed]


@pytest.fixture
def scheduled():
    """Runs `work(scheduler, device)` on virtual time."""

    def scheduled_run(work, **settings):
        async def opened():
            device = Timed()
            scheduler = Scheduler(**{"work": device, "batch_tokens": BATCH, "max_waiting_tokens": 10**9, **settings})
            async with asyncio.timeout(10_000):
                outcome = await work(scheduler, device)
            await scheduler.close()
            return outcome

        return run(opened())

    return scheduled_run


def text(length):
    return [Encoded(np.zeros(length, dtype=np.int32))]


async def waited(scheduler, length, **how):
    """Virtual seconds until one text is answered."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await scheduler.run("model", text(length), **how)
    return loop.time() - began


async def flood(scheduler, seconds, *, load, length=10, **how):
    """Texts of `length`, arriving evenly at `load` times the device's speed; their waits, in the order of arrival."""
    flow, model = how.pop("flow", lambda _: ""), how.pop("model", lambda _: "model")
    loop = asyncio.get_running_loop()
    jobs = []

    async def one(number):
        began = loop.time()
        await scheduler.run(model(number), text(length), flow=flow(number), **how)
        return loop.time() - began

    try:
        for number in range(int(seconds * load * SPEED / length)):
            jobs.append(asyncio.create_task(one(number)))
            await asyncio.sleep(length / (load * SPEED))
        return await asyncio.gather(*jobs)
    except asyncio.CancelledError:
        await stop(*jobs)
        raise


async def backlog(scheduler):
    """Bulk work without end, for a model called bulk."""
    while True:
        await scheduler.run("bulk", text(10) * 100, lane="bulk")


async def stop(*tasks):
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_a_text_of_512_tokens_in_a_flood_of_short_ones(scheduled):
    """Bound: what waits when it comes, the batches that run and are prepared, and itself; nothing that follows."""

    async def work(scheduler, device):
        flooding = asyncio.create_task(flood(scheduler, 30, load=3))
        await asyncio.sleep(2)
        bound = (scheduler.waiting_tokens + 2 * BATCH + 512) / SPEED
        assert await waited(scheduler, 512) <= bound + 1e-6
        assert scheduler.waiting_tokens > 5000, "the flood goes on"
        await flooding

    scheduled(work)


def test_a_text_of_512_tokens_of_its_own_flow_in_a_flood_of_short_ones(scheduled):
    """Bound: the batch that runs, the one that is prepared, one more, and itself; whatever waits."""

    async def work(scheduler, device):
        flooding = asyncio.create_task(flood(scheduler, 30, load=3))
        await asyncio.sleep(10)
        assert scheduler.waiting_tokens > 10_000
        assert await waited(scheduler, 512, flow="long") <= (3 * BATCH + 512) / SPEED + 1e-6
        await flooding

    scheduled(work)


def test_one_flow_among_a_hundred_noisy_ones(scheduled):
    """Bound: the batch that runs, the one that is prepared, a turn (QUANTUM and an item), and the text's own batch."""

    async def work(scheduler, device):
        flooding = asyncio.create_task(flood(scheduler, 40, load=5, flow=lambda number: f"noisy{number % 100}"))
        waits = []
        await asyncio.sleep(10)  # until each of them has had the first turn that every new flow has
        for _ in range(40):
            await asyncio.sleep(2)  # half of its share
            waits.append(await waited(scheduler, 10, flow="quiet"))
        assert scheduler.waiting_tokens > 50_000
        assert max(waits) <= 4 * BATCH / SPEED + 1e-6
        await stop(flooding)

    scheduled(work)


def test_a_busy_flow_gets_its_part_beside_a_hundred_noisy_ones(scheduled):
    """Bound: of 101 flows that all wait, one gets 1/101 of the tokens, give or take 3 quanta and two items."""

    async def work(scheduler, device):
        served = dict.fromkeys(range(101), 0)

        async def flow(name):
            async def one():
                await scheduler.run("model", text(10), flow=str(name))
                served[name] += 10

            await asyncio.gather(*(one() for _ in range(250)))

        flows = [asyncio.create_task(flow(name)) for name in served]
        await asyncio.sleep(200)
        assert all(abs(tokens - served[0]) <= 3 * 64 + 20 for tokens in served.values())
        await stop(*flows)

    scheduled(work)


def test_bulk_gets_its_share_under_full_interactive_load(scheduled):
    """Bound: a tenth of the tokens; a bulk batch waits for at most nine times its tokens, and three batches."""

    async def work(scheduler, device):
        flooding = asyncio.create_task(flood(scheduler, 100, load=2))
        await asyncio.sleep(5)
        waits = [await waited(scheduler, 20, lane="bulk") for _ in range(20)]
        assert max(waits) <= (9 * 20 + 3 * BATCH + 20) / SPEED + 1e-6
        device.served.clear()
        jobs = [asyncio.create_task(backlog(scheduler)) for _ in range(2)]
        await asyncio.sleep(80)
        bulk = sum(tokens for model, tokens in device.served if model == "bulk")
        assert bulk / (80 * SPEED) == pytest.approx(0.1, rel=0.05)
        await stop(*jobs, flooding)

    scheduled(work)


def test_interactive_stays_quick_under_full_bulk_load(scheduled):
    """Bound: two small bulk batches more than alone at the 99th percentile, and a full one more than that at most."""

    def waits(bulk):
        async def work(scheduler, device):
            tide = random.Random(3)
            jobs = [asyncio.create_task(backlog(scheduler)) for _ in range(3 if bulk else 0)]
            await asyncio.sleep(5)
            asked = []
            for _ in range(1000):
                await asyncio.sleep(tide.expovariate(0.3 * SPEED / 10))
                asked.append(asyncio.create_task(waited(scheduler, 10)))
            found = sorted(await asyncio.gather(*asked))
            await stop(*jobs)
            return found

        return scheduled(work)

    alone, beside = waits(bulk=False), waits(bulk=True)
    assert beside[990] <= alone[990] + 2 * (BATCH // SMALL) / SPEED
    assert beside[-1] <= alone[-1] + (BATCH + 2 * (BATCH // SMALL)) / SPEED


@pytest.mark.parametrize("models", [2, 20])
def test_no_model_waits_for_more_than_a_turn_of_every_other(scheduled, models):
    """Bound: two batches and one item for every other model, the batch that runs, the prepared one, and its own."""

    async def work(scheduler, device):
        flooding = asyncio.create_task(
            flood(scheduler, 100, load=3, model=lambda number: f"busy{number % (models - 1)}")
        )
        await asyncio.sleep(10)
        device.served.clear()
        bound = ((models - 1) * (2 * BATCH + BATCH) + 3 * BATCH) / SPEED
        for _ in range(10):
            assert await waited(scheduler, 10) <= bound + 1e-6
        switches = sum(one[0] != other[0] for one, other in zip(device.served, device.served[1:], strict=False))
        assert switches <= len(device.served) / 2 + 25, "a turn is two batches"
        await stop(flooding)

    scheduled(work)
