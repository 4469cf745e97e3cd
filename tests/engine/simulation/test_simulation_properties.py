"""Residency and scheduler together, driven at random on virtual time: 10,000 steps, and what must hold at each of them.

The world below keeps books of its own (who uses what, since when, how many bytes really exist) and never reads the
residency's to judge the residency.
"""

import asyncio
import gc
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
import structlog

from engine.errors import EngineError, HubUnreachable, InferenceFailed, ModelInvalid
from engine.heads.vectors import stacked
from engine.protocol import ModelRef
from engine.residency import LoadPlan, Residency
from engine.scheduler import Scheduler
from engine.simulation.fake import FakeMachine, FakeSpec, fake_tokens
from engine.simulation.virtual_time import VirtualLoop

SEEDS = 20
STEPS = 500
BUDGET, HOST_BUDGET = 150, 90
IDLE_TIMEOUT = 20.0
LOAD_TIMEOUT = 30.0
DEVICE_HOLDS = 60
"""Tokens of a batch that still fits."""
TROUBLES = {
    "invalid": ModelInvalid("broken"),
    "hub": HubUnreachable("away", retry_after=2.0),
    "memory": MemoryError(),
    "bug": ValueError("unforeseen"),
}


class Machine(FakeMachine):
    """Counts which texts were finished, and fails a pass at times."""

    def __init__(self, source, on_leave):
        super().__init__(memory_tokens=DEVICE_HOLDS, on_leave=on_leave)
        self.finished = Counter()
        self._source = source

    async def run(self, model, packed):
        if self._source.random() < 0.02:
            raise ValueError("kernel")
        rows = await super().run(model, packed)
        self.finished.update(int(sequence.ids[0]) for sequence in packed)
        return rows


@dataclass(eq=False)
class Asked:
    """One request and what became of it."""

    number: int
    firsts: list
    lengths: list
    cancelled: bool = False
    outcomes: list = field(default_factory=list)


class World:
    """A node under random traffic."""

    def __init__(self, seed, loop):
        self.loop = loop
        self.source = random.Random(seed)
        self.machine = Machine(self.source, self.left)
        self.machine.device.watch = lambda held: self.must(held <= BUDGET, f"{held} bytes on the device")
        self.machine.host.watch = lambda held: self.must(held <= HOST_BUDGET, f"{held} bytes in host memory")
        sizes = [self.source.choice((10, 20, 25, 40, 60)) for _ in range(11)] + [BUDGET + 1]
        self.specs = {
            ModelRef(id=f"m{number}", source="fake"): FakeSpec(
                size, load_seconds=size / 40, restore_seconds=size / 400, number=number
            )
            for number, size in enumerate(sizes)
        }
        self.refs = list(self.specs)
        self.trouble = {}
        self.wanting = Counter()
        """Who has a model, or waits for it; some of them behind its eviction."""
        self.having = Counter()
        self.last_use = {}
        self.unloading = Counter()
        self.pinned = Counter()
        self.unpinned_at = Counter()
        self.pinning = Counter()
        self.on_device = set()
        self.evicted = 0
        self.closing = False
        self.asked = []
        self.tasks = set()
        self.errors = []
        self.residency = Residency(
            budget=BUDGET,
            host_budget=HOST_BUDGET,
            plan=self.plan,
            idle_timeout=IDLE_TIMEOUT,
            load_timeout=LOAD_TIMEOUT,
            patience=8.0,
            work=self.machine.work,
            on_load=lambda _: self.loaded(),
            clock=loop.time,
        )
        self.scheduler = Scheduler(
            work=self.machine,
            batch_tokens=100,
            workers=1,
            max_waiting_tokens=2000,
            free_memory=self.free_memory,
            clock=loop.time,
        )

    def must(self, holds, what):
        """Remember what does not hold: callbacks may not raise."""
        if not holds:
            self.errors.append(f"at {self.loop.time():.3f}: {what}")

    def plan(self, ref, _progress):
        trouble = self.trouble.get(ref.id)
        self.machine.work.spend(0.01)
        if trouble == "invalid":
            raise TROUBLES[trouble]
        return LoadPlan(self.specs[ref].bytes, lambda: self.load(ref))

    def load(self, ref):
        trouble = self.trouble.get(ref.id)
        if trouble == "endless":
            self.machine.work.spend(1e9)
        elif trouble is not None:
            self.machine.work.spend(0.1)
            raise TROUBLES[trouble]
        return self.machine.load(self.specs[ref])

    async def free_memory(self, model, step):
        return step == 2 and await self.residency.evict_sibling(model)

    def there(self):
        return {entry.ref.id for entry in self.residency.entries if entry.settled}

    def loaded(self):
        self.on_device |= self.there()

    def left(self, spec):
        """Judge an eviction by the world's own books."""
        victim = self.refs[spec.number].id
        if self.closing or victim not in self.on_device:
            return
        self.on_device.discard(victim)
        self.evicted += 1
        self.must(not self.having[victim], f"{victim} was evicted in use")
        if self.unloading[victim]:
            return
        self.must(not self.pinned[victim], f"{victim} was evicted although pinned")
        idle = self.loop.time() - self.last_use[victim]
        if idle >= IDLE_TIMEOUT:
            return
        for ref in self.refs:
            other, size = ref.id, self.specs[ref].bytes
            busy = self.wanting[other] or self.pinned[other] or self.pinning[other] or self.unloading[other]
            # The decision is of this moment, yet before whatever else happened in it.
            may_go = not busy and self.unpinned_at[other] < self.loop.time()
            if may_go and other in self.there() and size >= spec.bytes:
                older = self.last_use[other] < self.last_use[victim]
                self.must(not older, f"{victim} was evicted although {other} is as large and was used before it")

    def begin(self, work):
        task = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def use(self, ref, work):
        """Count a user of a model for as long as it waits for it and has it."""
        self.wanting[ref.id] += 1
        try:
            async with self.residency.acquire(ref) as model:
                self.must(model.on_device and model.spec is self.specs[ref], f"{ref.id} is not what was asked for")
                self.having[ref.id] += 1
                try:
                    return await work(model)
                finally:
                    self.having[ref.id] -= 1
                    self.must(model.on_device, f"{ref.id} left the device in use")
        finally:
            self.wanting[ref.id] -= 1
            self.last_use[ref.id] = self.loop.time()

    def request(self):
        ref = self.refs[min(int(self.source.expovariate(0.3)), len(self.refs) - 1)]
        lengths = [self.source.choice((1, 3, 3, 8, 8, 8, 20, 20, 50, 50, 70)) for _ in range(self.source.randint(1, 4))]
        first = sum(len(asked.firsts) for asked in self.asked) + 1
        asked = Asked(self.specs[ref].number, [first + place for place in range(len(lengths))], lengths)
        self.asked.append(asked)
        texts = [fake_tokens(length, number) for length, number in zip(lengths, asked.firsts, strict=True)]
        settings = {
            "flow": self.source.choice("abc"),
            "weight": self.source.choice((0.5, 1.0, 4.0)),
            "lane": self.source.choice(("interactive", "interactive", "bulk")),
            "deadline": self.source.choice((None, None, self.loop.time() + self.source.expovariate(1.0))),
        }

        async def answered():
            try:
                ran = await self.use(ref, lambda model: self.scheduler.run(model, texts, **settings))
                asked.outcomes.append(stacked(ran.rows))
            except EngineError as error:
                asked.outcomes.append(type(error))  # not the error: its traceback would hold the model
            except asyncio.CancelledError:
                asked.outcomes.append(None)
                raise

        task = self.begin(answered())

        def leave():
            asked.cancelled = True
            task.cancel()

        if self.source.random() < 0.15:
            self.loop.call_later(self.source.expovariate(1.0), leave)

    def hold(self):
        """A use that lasts, whatever it does."""
        seconds = self.source.expovariate(0.5)
        self.begin(self.quietly(self.use(self.source.choice(self.refs), lambda _: asyncio.sleep(seconds))))

    async def quietly(self, work):
        try:
            return await work
        except EngineError:
            return None

    def load_now(self):
        ref = self.source.choice(self.refs)
        self.begin(self.quietly(self.counted(self.wanting, ref, self.residency.load(ref))))

    def unload(self):
        ref = self.source.choice(self.refs)
        if self.pinning[ref.id]:
            return
        self.unpinned_at[ref.id] = self.loop.time()
        self.pinned[ref.id] = 0
        self.begin(self.quietly(self.counted(self.unloading, ref, self.residency.unload(ref))))

    async def counted(self, books, ref, work):
        books[ref.id] += 1
        try:
            await work
        finally:
            books[ref.id] -= 1
            self.last_use[ref.id] = self.loop.time()

    def pin(self):
        ref = self.source.choice(self.refs)
        if self.pinned[ref.id]:
            self.begin(self.quietly(self.unpin(ref)))
        elif sum(self.pinned.values()) < 3:
            self.begin(self.quietly(self.pin_and_count(ref)))

    async def pin_and_count(self, ref):
        self.pinning[ref.id] += 1
        try:
            await self.counted(self.wanting, ref, self.residency.pin(ref, True))
            self.pinned[ref.id] = 1
        finally:
            self.pinning[ref.id] -= 1

    async def unpin(self, ref):
        self.unpinned_at[ref.id] = self.loop.time()
        self.pinned[ref.id] = 0
        await self.residency.pin(ref, False)

    def make_trouble(self):
        ref = self.source.choice(self.refs)
        if self.trouble.pop(ref.id, None) is None:
            self.trouble[ref.id] = self.source.choice([*TROUBLES, "endless"])

    async def step(self):
        actions = (self.request, self.hold, self.load_now, self.unload, self.pin, self.make_trouble)
        self.source.choices(actions, weights=(60, 4, 3, 3, 4, 3))[0]()
        # Mostly a moment, at times at once, seldom long enough for idle models to go.
        await asyncio.sleep(self.source.choices((0.0, self.source.expovariate(6.0), 15.0), weights=(3, 30, 1))[0])
        self.must(self.residency.used <= BUDGET, f"{self.residency.used} bytes in the books")
        self.must(self.machine.device.held <= self.residency.used, "more bytes on the device than in the books")
        self.must(self.residency.host_used <= HOST_BUDGET, f"{self.residency.host_used} host bytes in the books")
        self.must(self.machine.host.held <= self.residency.host_used, "more bytes in host memory than in the books")

    async def live(self):
        for _ in range(STEPS):
            await self.step()
            if self.errors:
                break
        while self.tasks:
            await asyncio.wait(self.tasks)
        self.closing = True
        await self.scheduler.close()
        await self.residency.close()

    def judge_answers(self):
        for asked in self.asked:
            assert len(asked.outcomes) == 1, "answered once"
            outcome = asked.outcomes[0]
            if outcome is None:
                assert asked.cancelled
            elif isinstance(outcome, np.ndarray):
                assert np.array_equal(
                    outcome,
                    [(asked.number, first, length) for first, length in zip(asked.firsts, asked.lengths, strict=True)],
                )
                assert all(self.machine.finished[first] == 1 for first in asked.firsts)
        assert max(self.machine.finished.values()) == 1


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    """Hundreds of swaps are logged."""
    with structlog.testing.capture_logs():
        yield
    gc.enable()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_budget_references_order_and_answers_hold_under_random_traffic(seed):
    gc.disable()  # memory is free when its last holder is gone, not when the collector comes by
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        world = World(seed, runner.get_loop())
        runner.run(world.live())
        assert not world.errors
        world.judge_answers()
        outcomes = Counter(
            "answered" if isinstance(o, np.ndarray) else o for asked in world.asked for o in asked.outcomes
        )
    # The world was lively enough for all this to mean something.
    assert outcomes["answered"] > STEPS / 10
    assert len(outcomes) > 5
    assert world.evicted > STEPS / 20
    assert world.machine.loads + world.machine.restores > STEPS / 20
    assert outcomes[InferenceFailed]
