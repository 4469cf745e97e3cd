import asyncio
import threading

import numpy as np
import pytest
import torch

from engine.encoded import Encoded
from engine.errors import DeadlinePassed, Draining, InferenceFailed, OutOfMemory, QueueFull
from engine.scheduler import Scheduler
from engine.scheduling.device_work import ThreadedDevice


class FakeModel:
    """Gives each sequence its first id and its length. A batch can be held, or made to fail, by what it contains."""

    def __init__(self):
        self.batches = []
        self.packed = []
        self.gate = threading.Event()
        self.gate.set()
        self.started = threading.Event()
        self.breaks = lambda batch: None

    def pack(self, encoded):
        self.packed.append(len(encoded))
        return list(encoded)

    def run(self, batch):
        self.started.set()
        assert self.gate.wait(20)
        self.breaks(batch)
        self.batches.append([int(sequence.ids[0]) for sequence in batch])
        return np.array([[sequence.ids[0], len(sequence)] for sequence in batch], dtype=np.float32)


def texts(*sizes, first=0):
    """Sequences of these lengths, whose first ids count up."""
    return [Encoded(np.full(size, first + place, dtype=np.int32)) for place, size in enumerate(sizes)]


@pytest.fixture
def scheduled(run):
    """Runs `work(scheduler, model)` with a scheduler of 10 tokens a batch."""

    def scheduled_run(work, **settings):
        async def opened():
            device = ThreadedDevice(settings.get("workers", 1))
            scheduler = Scheduler(**{"work": device, "batch_tokens": 10, "max_waiting_tokens": 1000, **settings})
            try:
                return await work(scheduler, FakeModel())
            finally:
                await scheduler.close()
                device.close()

        return run(opened())

    return scheduled_run


async def started(model):
    """Until a batch is on the device."""
    while not model.started.is_set():
        await asyncio.sleep(0.001)


async def until(true):
    while not true():
        await asyncio.sleep(0.001)


def test_vectors_come_back_in_the_order_of_the_inputs(scheduled):
    async def work(scheduler, model):
        ran = await scheduler.run(model, texts(3, 9, 1, 3, 7))
        assert list(map(list, ran.rows)) == [[0, 3], [1, 9], [2, 1], [3, 3], [4, 7]]
        assert ran.queued >= 0
        assert ran.inference >= 0
        assert scheduler.waiting_tokens == scheduler.waiting_requests == 0

    scheduled(work)


def test_a_big_request_spreads_over_batches_shortest_first(scheduled):
    async def work(scheduler, model):
        await scheduler.run(model, texts(9, 2, 4, 2))
        assert model.batches == [[1, 3, 2], [0]]

    scheduled(work)


def test_requests_that_arrive_meanwhile_share_the_next_batch(scheduled):
    async def work(scheduler, model):
        model.gate.clear()
        jobs = [asyncio.create_task(scheduler.run(model, texts(2, first=0)))]
        await started(model)
        jobs += [asyncio.create_task(scheduler.run(model, texts(2, first=place))) for place in (1, 2, 3)]
        await asyncio.sleep(0)
        assert scheduler.waiting_tokens == 6
        assert scheduler.waiting_requests == 4
        model.gate.set()
        await asyncio.gather(*jobs)
        assert model.batches == [[0], [1, 2, 3]]

    scheduled(work)


def test_a_full_batch_is_packed_while_one_runs_and_a_part_of_one_is_not(scheduled):
    async def work(scheduler, model):
        model.gate.clear()
        jobs = [asyncio.create_task(scheduler.run(model, texts(2)))]
        await started(model)
        jobs.append(asyncio.create_task(scheduler.run(model, texts(4))))
        await asyncio.sleep(0.02)
        assert model.packed == [1]
        jobs.append(asyncio.create_task(scheduler.run(model, texts(6))))
        await until(lambda: len(model.packed) == 2)
        assert model.batches == []
        model.gate.set()
        await asyncio.gather(*jobs)
        assert model.packed == [1, 2]

    scheduled(work)


def test_models_take_turns_by_their_oldest_item(scheduled):
    ticks = iter(range(1000))

    async def work(scheduler, model):
        other = FakeModel()
        model.gate.clear()
        jobs = [asyncio.create_task(scheduler.run(model, texts(2)))]
        await started(model)
        order = []
        for taker, name in ((model, "a"), (other, "b"), (model, "a"), (other, "b")):
            taker.breaks = lambda _, name=name: order.append(name)
            jobs.append(asyncio.create_task(scheduler.run(taker, texts(9))))
            await asyncio.sleep(0)
        model.gate.set()
        await asyncio.gather(*jobs)
        assert order == ["a", "a", "b", "a", "b"]

    scheduled(work, clock=lambda: next(ticks), turn_tokens=0)


def test_who_has_left_is_dropped_when_taken(scheduled):
    async def work(scheduler, model):
        model.gate.clear()
        first = asyncio.create_task(scheduler.run(model, texts(2)))
        await started(model)
        leaving = asyncio.create_task(scheduler.run(model, texts(2, 2, first=50)))
        staying = asyncio.create_task(scheduler.run(model, texts(2, first=70)))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        model.gate.set()
        await asyncio.gather(first, staying)
        assert model.batches == [[0], [70]]
        assert scheduler.waiting_tokens == 0

    scheduled(work)


def test_who_leaves_during_a_batch_waits_for_the_device_to_let_go(scheduled):
    async def work(scheduler, model):
        model.gate.clear()
        leaving = asyncio.create_task(scheduler.run(model, texts(2)))
        await started(model)
        leaving.cancel()
        await asyncio.sleep(0.02)
        assert not leaving.done()
        model.gate.set()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert model.batches == [[0]]

    scheduled(work)


def test_past_the_bound_a_request_is_refused_and_told_when_to_come_back(scheduled):
    async def work(scheduler, model):
        model.gate.clear()
        jobs = [asyncio.create_task(scheduler.run(model, texts(2)))]
        await started(model)
        jobs.append(asyncio.create_task(scheduler.run(model, texts(15))))
        await asyncio.sleep(0)
        with pytest.raises(QueueFull) as refused:
            await scheduler.run(model, texts(6))
        assert refused.value.retry_after > 0
        model.gate.set()
        await asyncio.gather(*jobs)
        await scheduler.run(model, texts(6))

    scheduled(work, batch_tokens=30, max_waiting_tokens=20)


def test_the_time_to_come_back_is_the_queue_over_the_measured_speed(scheduled):
    now = 0.0

    def clock():
        nonlocal now
        now += 1.0
        return now

    async def work(scheduler, model):
        await scheduler.run(model, texts(10))
        assert scheduler.tokens_per_second == 10.0
        model.started.clear()
        model.gate.clear()
        jobs = [asyncio.create_task(scheduler.run(model, texts(1)))]
        await started(model)
        jobs.append(asyncio.create_task(scheduler.run(model, texts(400))))
        await asyncio.sleep(0)
        with pytest.raises(QueueFull) as refused:
            scheduler.admit(601)
        assert refused.value.retry_after == 40.0
        scheduler.admit(600)
        model.gate.set()
        await asyncio.gather(*jobs)

    scheduled(work, batch_tokens=1000, clock=clock)


def test_one_request_is_admitted_however_big_when_nothing_waits(scheduled):
    async def work(scheduler, model):
        ran = await scheduler.run(model, texts(*[5] * 100))
        assert [row[0] for row in ran.rows] == list(range(100))

    scheduled(work, max_waiting_tokens=20)


def test_a_batch_that_fails_fails_only_its_own_items(scheduled, capsys):
    def breaks(batch):
        if any(sequence.ids[0] == 66 for sequence in batch):
            raise ValueError("kernel")

    async def work(scheduler, model):
        model.breaks = breaks
        outcomes = await asyncio.gather(
            scheduler.run(model, texts(9, first=1)),
            scheduler.run(model, texts(9, 9, first=65)),
            scheduler.run(model, texts(9, first=80)),
            return_exceptions=True,
        )
        assert list(map(list, outcomes[0].rows)) == [[1, 9]]
        assert isinstance(outcomes[1], InferenceFailed)
        assert "kernel" not in outcomes[1].message
        assert list(map(list, outcomes[2].rows)) == [[80, 9]]
        assert list(map(list, (await scheduler.run(model, texts(3))).rows)) == [[0, 3]]

    scheduled(work)


def test_out_of_memory_halves_the_batch_and_fails_only_what_never_fits(scheduled):
    def breaks(batch):
        if sum(map(len, batch)) > 4:
            raise torch.OutOfMemoryError

    async def work(scheduler, model):
        model.breaks = breaks
        outcomes = await asyncio.gather(
            *(scheduler.run(model, texts(size)) for size in (2, 2, 6, 2)), return_exceptions=True
        )
        assert [type(outcome) is OutOfMemory for outcome in outcomes] == [False, False, True, False]

    scheduled(work, batch_tokens=100)


def test_closing_refuses_what_waits_and_finishes_what_runs(scheduled):
    async def work(scheduler, model):
        model.gate.clear()
        running = asyncio.create_task(scheduler.run(model, texts(2)))
        await started(model)
        closing = asyncio.create_task(scheduler.close())
        await asyncio.sleep(0)
        model.gate.set()
        with pytest.raises(Draining):
            await running
        await closing

    scheduled(work)


def test_free_workers_share_what_waits(scheduled):
    async def work(scheduler, model):
        await scheduler.run(model, texts(*[20] * 10))
        assert sorted(map(len, model.batches)) == [5, 5]
        model.batches.clear()
        await scheduler.run(model, texts(20, 20))
        assert model.batches == [[0, 1]], "too little to share"

    scheduled(work, workers=2, batch_tokens=500)


def test_busy_workers_leave_the_next_batch_open(scheduled):
    async def work(scheduler, model):
        model.gate.clear()
        jobs = [asyncio.create_task(scheduler.run(model, texts(100, 100)))]
        await until(lambda: len(model.packed) == 2)
        jobs += [asyncio.create_task(scheduler.run(model, texts(20, first=place))) for place in range(10, 20)]
        await asyncio.sleep(0)
        assert scheduler.waiting_tokens == 200
        model.gate.set()
        await asyncio.gather(*jobs)
        assert len(model.batches) < 2 + 10

    scheduled(work, workers=2, batch_tokens=500)


async def busy(scheduler, model):
    """A batch that holds the only worker until the gate opens."""
    model.gate.clear()
    job = asyncio.create_task(scheduler.run(model, texts(2)))
    await started(model)
    return job


def test_a_model_keeps_its_turn_for_a_quantum_of_tokens(scheduled):
    async def work(scheduler, model):
        other = FakeModel()
        order = []
        model.breaks = lambda _: order.append("a")
        other.breaks = lambda _: order.append("b")
        jobs = [await busy(scheduler, model)]
        for taker in (model, other) * 5:
            jobs.append(asyncio.create_task(scheduler.run(taker, texts(9))))
            await asyncio.sleep(0)
        model.gate.set()
        await asyncio.gather(*jobs)
        assert "".join(order[1:]) == "aaabbbaabb"

    scheduled(work, turn_tokens=27)


def test_interactive_overtakes_bulk_even_a_batch_that_is_packed(scheduled):
    async def work(scheduler, model):
        jobs = [await busy(scheduler, model)]
        jobs.append(asyncio.create_task(scheduler.run(model, texts(9, 9, first=50), lane="bulk")))
        await until(lambda: len(model.packed) == 2)
        jobs.append(asyncio.create_task(scheduler.run(model, texts(3, first=70))))
        await asyncio.sleep(0)
        assert (scheduler.waiting_tokens, scheduler.bulk_waiting_tokens) == (12, 9)
        model.gate.set()
        await asyncio.gather(*jobs)
        assert model.batches == [[0], [70], [50], [51]]

    scheduled(work)


def test_a_full_lane_refuses_its_own_and_not_the_other(scheduled):
    async def work(scheduler, model):
        jobs = [await busy(scheduler, model)]
        jobs.append(asyncio.create_task(scheduler.run(model, texts(20), lane="bulk")))
        await until(lambda: len(model.packed) == 2)
        jobs.append(asyncio.create_task(scheduler.run(model, texts(20, first=1), lane="bulk")))
        await asyncio.sleep(0)
        with pytest.raises(QueueFull, match="bulk"):
            await scheduler.run(model, texts(1), lane="bulk")
        jobs.append(asyncio.create_task(scheduler.run(model, texts(20, first=2))))
        await asyncio.sleep(0)
        with pytest.raises(QueueFull, match="interactive"):
            await scheduler.run(model, texts(1))
        model.gate.set()
        await asyncio.gather(*jobs)

    scheduled(work, max_waiting_tokens=20)


def test_each_lane_is_told_to_come_back_by_its_own_part_of_the_speed(scheduled):
    now = 0.0

    def clock():
        nonlocal now
        now += 1.0
        return now

    async def work(scheduler, model):
        await scheduler.run(model, texts(10))
        model.started.clear()
        jobs = [await busy(scheduler, model)]
        waits = {}
        for lane in ("interactive", "bulk"):
            jobs.append(asyncio.create_task(scheduler.run(model, texts(90), lane=lane)))
            await asyncio.sleep(0)
        for lane in ("interactive", "bulk"):
            with pytest.raises(QueueFull) as refused:
                scheduler.admit(1000, lane)
            waits[lane] = refused.value.retry_after
        assert scheduler.tokens_per_second == 10.0
        assert waits["interactive"] == pytest.approx(90 / (10 * 0.75))
        assert waits["bulk"] == pytest.approx(90 / (10 * 0.25))
        model.gate.set()
        await asyncio.gather(*jobs)

    scheduled(work, batch_tokens=1000, bulk_share=0.25, clock=clock)


def test_what_is_taken_after_its_deadline_is_refused_and_the_rest_is_served(scheduled):
    now = 0.0

    async def work(scheduler, model):
        nonlocal now
        jobs = [await busy(scheduler, model)]
        jobs.append(asyncio.create_task(scheduler.run(model, texts(3, 9, first=20), deadline=5.0)))
        jobs.append(asyncio.create_task(scheduler.run(model, texts(3, first=40), deadline=5.1)))
        await asyncio.sleep(0)
        now = 5.0
        model.gate.set()
        _first, late, early = await asyncio.gather(*jobs, return_exceptions=True)
        assert isinstance(late, DeadlinePassed)
        assert (late.code, late.status, late.retry_after) == ("deadline_passed", 504, None)
        assert list(map(list, early.rows)) == [[40, 3]]
        assert model.batches == [[0], [40]]
        assert scheduler.waiting_tokens == scheduler.waiting_requests == 0

    scheduled(work, clock=lambda: now, batch_tokens=100)


def test_memory_is_freed_before_a_batch_is_halved(scheduled):
    steps = []

    async def free_memory(model, step):
        steps.append(int(step))
        return True

    def breaks(batch):
        if len(steps) < 2 and len(batch) > 1:
            raise MemoryError

    async def work(scheduler, model):
        model.breaks = breaks
        await scheduler.run(model, texts(2, 2))
        assert steps == [1, 2]
        assert model.batches == [[0, 1]]

    scheduled(work, free_memory=free_memory)


def test_a_packed_batch_that_everybody_left_is_not_run(scheduled):
    async def work(scheduler, model):
        first = await busy(scheduler, model)
        leaving = asyncio.create_task(scheduler.run(model, texts(10, first=50)))
        await until(lambda: len(model.packed) == 2)
        leaving.cancel()
        model.gate.set()
        await asyncio.gather(first, leaving, return_exceptions=True)
        await scheduler.run(model, texts(3, first=70))
        assert model.batches == [[0], [70]]

    scheduled(work)


def test_requests_of_one_round_of_the_loop_share_a_batch_on_a_free_device(scheduled):
    async def work(scheduler, model):
        await asyncio.gather(*(scheduler.run(model, texts(2, first=place)) for place in range(4)))
        assert model.batches == [[0, 1, 2, 3]]

    scheduled(work)


def test_after_closing_nothing_new_is_taken(scheduled):
    async def work(scheduler, model):
        await scheduler.close()
        with pytest.raises(Draining):
            await scheduler.run(model, texts(1))

    scheduled(work)
