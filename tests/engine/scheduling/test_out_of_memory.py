import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import OutOfMemory
from engine.scheduling.out_of_memory import Step, next_step, run_fitting


@pytest.mark.parametrize(
    ("last", "alone", "freed", "then"),
    [
        (Step.RUN, False, True, Step.EMPTY_CACHES),
        (Step.RUN, True, True, Step.EMPTY_CACHES),
        (Step.EMPTY_CACHES, False, True, Step.EVICT_SIBLING),
        (Step.EMPTY_CACHES, False, False, Step.EVICT_SIBLING),
        (Step.EMPTY_CACHES, True, False, Step.EVICT_SIBLING),
        (Step.EVICT_SIBLING, False, True, Step.HALVE),
        (Step.EVICT_SIBLING, False, False, Step.HALVE),
        (Step.EVICT_SIBLING, True, True, Step.EVICT_SIBLING),
        (Step.EVICT_SIBLING, True, False, Step.FAIL),
        (Step.HALVE, False, True, Step.HALVE),
        (Step.HALVE, True, True, Step.EMPTY_CACHES),
    ],
)
def test_the_ladder(last, alone, freed, then):
    assert next_step(last, alone=alone, freed=freed) is then


class Device:
    """Holds `memory` tokens, and more for every sibling that is evicted."""

    def __init__(self, memory, siblings=0, cached=0):
        self.memory = memory
        self.siblings = siblings
        self.cached = cached
        self.log = []

    async def pack(self, model, encoded):
        return encoded

    async def run(self, model, packed):
        tokens = sum(map(len, packed))
        self.log.append(tokens)
        if tokens > self.memory:
            raise MemoryError
        return [len(ids) for ids in packed]

    async def free(self, model, step):
        self.log.append(step.name)
        if step is Step.EMPTY_CACHES:
            freed, self.cached = self.cached, 0
        else:
            freed = 10 if self.siblings else 0
            self.siblings = max(0, self.siblings - 1)
        self.memory += freed
        return bool(freed)


def fitted(run, device, *sizes):
    encoded = [[0] * size for size in sizes]
    return run(run_fitting(device, None, encoded, encoded, device.free))


@pytest.mark.parametrize(
    ("device", "sizes", "log"),
    [
        (Device(10), [5, 5], [10]),
        (Device(5, cached=5), [5, 5], [10, "EMPTY_CACHES", 10]),
        (Device(5, siblings=1), [5, 5], [10, "EMPTY_CACHES", "EVICT_SIBLING", 10]),
        (Device(5), [5, 5], [10, "EMPTY_CACHES", "EVICT_SIBLING", 5, 5]),
        (Device(1, siblings=3), [25], [25, "EMPTY_CACHES", *["EVICT_SIBLING", 25] * 3]),
    ],
)
def test_steps_are_taken_in_order_and_no_more_than_it_needs(run, device, sizes, log):
    assert fitted(run, device, *sizes) == sizes
    assert device.log == log


@given(st.lists(st.integers(1, 40), min_size=1, max_size=20), st.integers(1, 60), st.integers(0, 3), st.integers(0, 9))
def test_all_that_fits_alone_is_served_in_order_and_nothing_else_is(sizes, memory, siblings, cached):
    import asyncio

    device = Device(memory, siblings, cached)
    outcomes = fitted(asyncio.run, device, *sizes)
    room = memory + 10 * siblings + cached
    for size, outcome in zip(sizes, outcomes, strict=True):
        assert isinstance(outcome, OutOfMemory) if size > room else outcome == size


def test_an_item_that_never_fits_is_told_why(run):
    [outcome] = fitted(run, Device(3), 7)
    assert "7 tokens" in outcome.message
