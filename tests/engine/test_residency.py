import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ModelInvalid, ModelLoading, ModelTooLarge
from engine.memory.eviction import Resident, plan_eviction
from engine.protocol import ModelRef
from engine.residency import COOL_DOWN, LoadPlan, Residency


def resident(key, size, used, *, busy=False, pinned=False):
    return Resident(key, size, used, busy, pinned)


@pytest.mark.parametrize(
    ("residents", "needed", "evicted"),
    [
        ([], 10, []),
        ([resident("a", 4, 1)], 6, []),
        ([resident("a", 4, 1), resident("b", 4, 2)], 6, ["a"]),
        ([resident("a", 4, 2), resident("b", 4, 1)], 6, ["b"]),
        ([resident("a", 4, 1, busy=True), resident("b", 4, 2)], 6, ["b"]),
        ([resident("a", 4, 1, pinned=True), resident("b", 4, 2)], 6, ["b"]),
        ([resident("a", 4, 1, busy=True), resident("b", 4, 2, pinned=True)], 6, None),
        ([resident("a", 2, 1), resident("b", 8, 2)], 8, ["b"]),  # a would have gone first, but need not
        ([resident("a", 5, 1), resident("b", 5, 2)], 10, ["a", "b"]),
        ([], 11, None),
    ],
)
def test_eviction_takes_the_least_recently_used_and_no_more_than_needed(residents, needed, evicted):
    plan = plan_eviction(residents, needed, 10)
    assert (plan if plan is None else [victim.key for victim in plan]) == evicted


RESIDENTS = st.lists(
    st.builds(Resident, st.integers(), st.integers(1, 50), st.floats(0, 100), st.booleans(), st.booleans()),
    max_size=12,
    unique_by=lambda resident: resident.key,
)


@given(RESIDENTS, st.integers(1, 200), st.integers(1, 300))
def test_a_plan_makes_room_spares_the_busy_and_evicts_nobody_in_vain(residents, needed, budget):
    plan = plan_eviction(residents, needed, budget)
    used = sum(resident.bytes for resident in residents)
    movable = sum(resident.bytes for resident in residents if not resident.busy and not resident.pinned)
    if plan is None:
        assert used - movable + needed > budget
        return
    freed = sum(victim.bytes for victim in plan)
    assert used - freed + needed <= budget
    assert not any(victim.busy or victim.pinned for victim in plan)
    for victim in plan:
        assert used - freed + victim.bytes + needed > budget


class Clock:
    now = 0.0

    def __call__(self):
        self.now += 0.001
        return self.now


class Store:
    """Models with declared sizes that load when told to."""

    def __init__(self, **sizes):
        self.sizes = sizes
        self.loads = []
        self.held = {}
        self.failures = {}

    def plan(self, ref, _progress):
        if ref.id in self.failures:
            raise self.failures[ref.id]
        return LoadPlan(self.sizes[ref.id], lambda: self.load(ref.id))

    def load(self, name):
        self.loads.append(name)
        if name in self.held:
            assert self.held[name].wait(20)
        return f"model {name}"


def ref(name, **changes):
    return ModelRef(id=name, source=name, **changes)


@pytest.fixture
def resident_run(run):
    """Runs `work(residency, store, clock)` with a budget of 10."""

    def run_with(work, sizes, **settings):
        async def opened():
            store, clock = Store(**sizes), Clock()
            residency = Residency(**{"budget": 10, "plan": store.plan, "clock": clock, **settings})
            try:
                return await work(residency, store, clock)
            finally:
                for gate in store.held.values():
                    gate.set()
                await residency.close()

        return run(opened())

    return run_with


async def use(residency, name, **changes):
    async with residency.acquire(ref(name, **changes)) as model:
        return model


def names(residency):
    return sorted(entry.ref.id for entry in residency.entries if entry.state == "resident")


async def settle():
    """Let every task that can go on go on."""
    for _ in range(20):
        await asyncio.sleep(0.001)


def test_the_least_recently_used_model_leaves_not_the_first_loaded(resident_run):
    async def work(residency, store, _):
        for name in ("a", "b", "a", "c"):  # using a again makes b the oldest
            assert await use(residency, name) == f"model {name}"
        assert names(residency) == ["a", "c"]
        assert store.loads == ["a", "b", "c"]
        assert residency.used == 8

    resident_run(work, {"a": 4, "b": 4, "c": 4})


def test_two_requests_for_one_cold_model_load_it_once(resident_run):
    async def work(residency, store, _):
        assert await asyncio.gather(*(use(residency, "a") for _ in range(20))) == ["model a"] * 20
        assert store.loads == ["a"]

    resident_run(work, {"a": 4})


def test_different_models_load_side_by_side(resident_run):
    async def work(residency, store, _):
        store.held["a"] = threading.Event()
        slow = asyncio.create_task(use(residency, "a"))
        assert await use(residency, "b") == "model b"
        assert not slow.done()
        store.held["a"].set()
        assert await slow == "model a"

    resident_run(work, {"a": 4, "b": 4})


def test_a_model_in_use_is_waited_for_and_not_evicted(resident_run):
    async def work(residency, store, _):
        async with residency.acquire(ref("a")):
            waiting = asyncio.create_task(use(residency, "b"))
            await settle()
            assert names(residency) == ["a"]
            assert not waiting.done()
            assert residency.used <= residency.budget
        assert await waiting == "model b"
        assert names(residency) == ["b"]
        assert store.loads == ["a", "b"]

    resident_run(work, {"a": 6, "b": 6})


def test_constant_use_of_one_model_does_not_starve_another(resident_run):
    async def work(residency, *_):
        async with residency.acquire(ref("a")):
            cold = asyncio.create_task(use(residency, "b"))
            await settle()
            late = asyncio.create_task(use(residency, "a"))  # would keep a busy for ever if it were let in
            await settle()
            assert not late.done()
        assert await cold == "model b"
        assert await late == "model a"

    resident_run(work, {"a": 6, "b": 6})


def test_every_waiting_request_is_served_in_the_end(resident_run):
    async def work(residency, *_):
        requests = [use(residency, name) for name in "abcd" * 5]
        assert await asyncio.gather(*requests) == [f"model {name}" for name in "abcd" * 5]
        assert residency.used <= residency.budget

    resident_run(work, dict.fromkeys("abcd", 6))


def test_memory_never_passes_the_budget(resident_run):
    async def work(residency, store, _):
        peaks = []
        load = store.load
        store.load = lambda name: (peaks.append(residency.used), load(name))[1]
        await asyncio.gather(*(use(residency, name) for name in "abcdeabcde"))
        assert max(peaks) <= 10

    resident_run(work, {"a": 3, "b": 5, "c": 2, "d": 7, "e": 4})


def test_a_model_larger_than_the_budget_is_refused_at_once_and_evicts_nobody(resident_run):
    async def work(residency, *_):
        await use(residency, "a")
        with pytest.raises(ModelTooLarge) as refused:
            await use(residency, "b")
        assert (refused.value.limit, refused.value.actual) == (10, 11)
        assert names(residency) == ["a"]

    resident_run(work, {"a": 4, "b": 11})


def test_a_model_that_does_not_fit_beside_the_pinned_ones_is_refused_at_once(resident_run):
    async def work(residency, *_):
        await use(residency, "a", pinned=True)
        with pytest.raises(ModelTooLarge, match="pinned models hold 4"):
            await use(residency, "b")
        assert names(residency) == ["a"]
        assert await use(residency, "c") == "model c"

    resident_run(work, {"a": 4, "b": 7, "c": 6})


def test_a_failure_is_remembered_with_its_reason_until_it_has_cooled_down(resident_run):
    async def work(residency, store, clock):
        store.failures["a"] = ModelInvalid("broken")
        for _ in range(2):
            with pytest.raises(ModelInvalid, match="broken"):
                await use(residency, "a")
            store.failures.clear()  # mended, but not asked again yet
        assert [(entry.state, entry.failure.message, entry.bytes) for entry in residency.entries] == [
            ("failed", "broken", 0)
        ]
        clock.now += COOL_DOWN
        assert await use(residency, "a") == "model a"

    resident_run(work, {"a": 4})


def test_asking_for_a_load_tries_again_at_once(resident_run):
    async def work(residency, store, _):
        store.failures["a"] = ModelInvalid("broken")
        with pytest.raises(ModelInvalid):
            await use(residency, "a")
        store.failures.clear()
        residency.forget_failure(ref("a"))
        assert await use(residency, "a") == "model a"

    resident_run(work, {"a": 4})


def test_an_unexpected_failure_is_typed_and_frees_its_room(resident_run, capsys):
    async def work(residency, store, _):
        store.load = lambda name: 1 / 0 if name == "a" else name
        with pytest.raises(ModelInvalid, match="log says why"):
            await use(residency, "a")
        assert residency.used == 0
        assert await use(residency, "b") == "b"

    resident_run(work, {"a": 10, "b": 10})


def test_impatience_is_typed_and_the_load_goes_on(resident_run):
    async def work(residency, store, _):
        store.held["a"] = threading.Event()
        with pytest.raises(ModelLoading) as impatient:
            await use(residency, "a")
        assert impatient.value.retry_after
        store.held["a"].set()
        await settle()
        assert names(residency) == ["a"]
        assert store.loads == ["a"]

    resident_run(work, {"a": 4}, patience=0.05)


def test_a_caller_that_leaves_while_it_waits_leaves_nothing_behind(resident_run):
    async def work(residency, store, _):
        store.held["a"] = threading.Event()
        leaving = asyncio.create_task(use(residency, "a"))
        await settle()
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        store.held["a"].set()
        await settle()
        assert [entry.in_use for entry in residency.entries] == [0]
        assert await use(residency, "b") == "model b"
        assert names(residency) == ["b"]

    resident_run(work, {"a": 6, "b": 6})


def test_unloading_waits_for_users_and_newcomers_load_anew(resident_run):
    async def work(residency, store, _):
        async with residency.acquire(ref("a")):
            unloading = asyncio.create_task(residency.unload(ref("a")))
            await settle()
            newcomer = asyncio.create_task(use(residency, "a"))
            await settle()
            assert names(residency) == ["a"]
            assert not unloading.done()
        await unloading
        assert await newcomer == "model a"
        assert store.loads == ["a", "a"]
        await residency.unload(ref("never loaded"))

    resident_run(work, {"a": 4})


def test_another_revision_is_another_model(resident_run):
    async def work(residency, store, _):
        await use(residency, "a", revision="1")
        await use(residency, "a", revision="2")
        assert store.loads == ["a", "a"]

    resident_run(work, {"a": 4})
