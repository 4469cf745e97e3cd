"""Device, host memory and disk, on virtual time: where models are, when they leave, and what it takes to come back."""

import asyncio
import subprocess
import sys
import weakref

import pytest
import structlog

from engine.errors import LoadTimedOut, ModelInvalid, ModelLoading, ModelTooLarge
from engine.memory.eviction import greedy_dual_size_frequency
from engine.memory.tiers import Move
from engine.protocol import ModelRef
from engine.residency import LoadPlan, Residency
from engine.simulation.fake import FakeMachine, FakeSpec
from engine.simulation.virtual_time import run
from engine.work import threads


class Node:
    """A residency of 100 bytes over models of 40 and more."""

    def __init__(self, sizes, **settings):
        self.machine = FakeMachine()
        self.specs = {name: FakeSpec(size, load_seconds=1.0, restore_seconds=0.1) for name, size in sizes.items()}
        self.moves = []
        loop = asyncio.get_running_loop()
        self.residency = Residency(
            **{
                "budget": 100,
                "host_budget": 100,
                "plan": self.plan,
                "work": self.machine.work,
                "clock": loop.time,
                "on_move": self.moves.append,
                **settings,
            }
        )

    def plan(self, ref, _progress=None):
        return LoadPlan(self.specs[ref.id].bytes, lambda: self.machine.load(self.specs[ref.id]))

    async def use(self, *names, **changes):
        for name in names:
            async with self.residency.acquire(ref(name, **changes)) as model:
                assert model.spec is self.specs[name]
                assert model.on_device

    def tiers(self):
        return {entry.ref.id: entry.tier for entry in self.residency.entries}


def ref(name, **changes):
    return ModelRef(id=name, source=name, **changes)


@pytest.fixture
def on_node():
    """Runs `work(node)` on virtual time and closes the node."""

    def run_on(work, sizes=None, **settings):
        async def opened():
            node = Node(sizes or dict.fromkeys("abcdef", 40), **settings)
            try:
                await work(node)
                assert node.residency.used >= node.machine.device.held
                assert node.residency.host_used >= node.machine.host.held
            finally:
                await node.residency.close()

        with structlog.testing.capture_logs():
            run(opened())

    return run_on


def test_an_evicted_model_waits_in_host_memory_and_comes_back_without_its_files(on_node):
    async def work(node):
        await node.use("a", "b", "c")
        assert node.tiers() == {"a": "host", "b": "device", "c": "device"}
        assert (node.residency.used, node.residency.host_used) == (80, 40)
        began = asyncio.get_running_loop().time()
        await node.use("a")
        # b's copy to the host, then a's from there
        assert asyncio.get_running_loop().time() - began == pytest.approx(0.2)
        assert (node.machine.loads, node.machine.restores) == (3, 1)
        assert node.tiers() == {"b": "host", "c": "device", "a": "device"}

    on_node(work)


def test_a_model_that_leaves_again_is_not_copied_again(on_node):
    async def work(node):
        await node.use("a", "b", "c", "a", "b", "c")  # all three have been in host memory or are
        began = asyncio.get_running_loop().time()
        await node.use("a")
        assert asyncio.get_running_loop().time() - began == pytest.approx(0.1)  # a's way back alone
        assert node.machine.loads == 3

    on_node(work, host_budget=200)


def test_host_memory_has_its_own_budget_and_its_own_order(on_node):
    async def work(node):
        await node.use("a", "b", "c", "d")
        assert node.tiers() == {"a": "host", "b": "host", "c": "device", "d": "device"}
        await node.use("e")
        assert node.tiers() == {"b": "host", "c": "host", "d": "device", "e": "device"}
        assert node.residency.host_used == 80
        assert node.machine.host.peak <= 100
        assert Move("host", "disk") in node.moves

    on_node(work)


def test_a_copy_of_what_is_on_the_device_goes_before_one_that_is_nowhere_else(on_node):
    async def work(node):
        await node.use("a", "b", "c", "d", "a")  # b, c in host memory; a came back from there and left its copy
        assert node.tiers() == {"b": "host", "c": "host", "d": "device", "a": "device"}
        assert node.residency.host_used == 120
        await node.use("e")
        assert node.tiers() == {"b": "host", "c": "host", "d": "host", "a": "device", "e": "device"}
        assert node.residency.host_used == 120

    on_node(work, host_budget=120)


def test_what_is_too_large_for_host_memory_is_read_again(on_node):
    async def work(node):
        await node.use("a", "b", "a")
        assert node.tiers() == {"a": "device"}
        assert (node.machine.loads, node.machine.restores, node.residency.host_used) == (3, 0, 0)

    on_node(work, {"a": 60, "b": 60}, host_budget=50)


def test_without_a_host_budget_models_leave_memory_altogether(on_node):
    async def work(node):
        await node.use("a", "b", "c")
        assert node.tiers() == {"b": "device", "c": "device"}
        assert node.moves == [Move("disk", "device", 1.0)] * 2 + [Move("device", "disk"), Move("disk", "device", 1.0)]

    on_node(work, host_budget=0)


def test_host_memory_that_can_not_be_had_costs_the_copy_and_nothing_else(on_node):
    async def work(node):
        await node.use("a", "b")
        for entry in node.residency.entries:
            entry.model.to_host = out_of_memory
        await node.use("c")
        assert node.tiers() == {"b": "device", "c": "device"}
        assert (node.residency.used, node.residency.host_used) == (80, 0)
        await node.use("a")
        assert node.machine.loads == 4

    def out_of_memory():
        raise MemoryError

    on_node(work)


def test_unloading_frees_both_copies(on_node):
    async def work(node):
        await node.use("a", "b", "c", "a")
        await node.residency.unload(ref("a"))
        await node.residency.unload(ref("b"))
        assert node.tiers() == {"c": "device"}
        assert (node.machine.device.held, node.machine.host.held, node.residency.host_used) == (40, 0, 0)
        assert node.moves[-2:] == [Move("device", "disk"), Move("host", "disk")]

    on_node(work)


def test_who_asks_while_a_model_leaves_gets_it_back(on_node):
    async def work(node):
        await node.use("a", "b")
        coming = asyncio.create_task(node.use("c"))
        while node.tiers().get("c") != "loading" or not any(entry.leaving for entry in node.residency.entries):
            await asyncio.sleep(0.01)
        await node.use("a")
        await coming
        assert node.machine.loads == 3

    on_node(work)


def test_idle_time_runs_from_the_last_use(on_node):
    async def work(node):
        await node.use("a", "b")
        await asyncio.sleep(8)
        await node.use("a")
        await asyncio.sleep(5)
        assert node.tiers() == {"b": "host", "a": "device"}
        await asyncio.sleep(6)
        assert node.tiers() == {"b": "host", "a": "host"}
        await node.use("a")
        assert node.machine.loads == 2

    on_node(work, idle_timeout=10.0)


def test_neither_a_model_in_use_nor_a_pinned_one_is_idle(on_node):
    async def work(node):
        await node.residency.pin(ref("b"), True)
        async with node.residency.acquire(ref("a")):
            await asyncio.sleep(100)
            assert node.tiers() == {"b": "device", "a": "device"}
        await asyncio.sleep(9)
        assert node.tiers()["a"] == "device"
        await asyncio.sleep(2)
        assert node.tiers() == {"b": "device", "a": "host"}
        await node.residency.pin(ref("b"), False)
        await asyncio.sleep(11)
        assert node.tiers() == {"b": "host", "a": "host"}

    on_node(work, idle_timeout=10.0)


def test_a_load_that_never_ends_is_given_up_and_what_it_brings_late_is_dropped(on_node):
    async def work(node):
        node.specs["a"] = FakeSpec(100, load_seconds=1000.0)
        waiting = asyncio.create_task(node.use("a"))
        await asyncio.sleep(1)
        with pytest.raises(ModelLoading):  # there is no room beside it
            async with node.residency.acquire(ref("b"), patience=5.0):
                pass
        with pytest.raises(LoadTimedOut, match=r"a did not end within 20 seconds") as given_up:
            await waiting
        assert given_up.value.retry_after
        assert node.tiers() == {"a": "failed", "b": "loading"}  # b has its room
        assert (node.residency.used, node.machine.device.held) == (40, 40)
        await node.use("b")
        await asyncio.sleep(2000)
        assert node.machine.device.held == 40
        node.specs["a"] = FakeSpec(100)
        await node.use("a")  # it has cooled down

    on_node(work, load_timeout=20.0, host_budget=0)


def test_a_time_out_inside_a_load_is_not_taken_for_the_loads_own(on_node):
    async def work(node):
        def plan(*_):
            raise TimeoutError("the mount does not answer")

        node.plan = plan
        node.residency._plan = plan
        with pytest.raises(ModelInvalid, match="log says why"):
            await node.use("a")

    on_node(work)


def test_the_oldest_idle_sibling_makes_room_for_a_batch(on_node):
    async def work(node):
        await node.use("a")
        await node.use("b", pinned=True)
        async with node.residency.acquire(ref("c")) as out_of_memory:
            assert node.tiers() == {"a": "host", "b": "device", "c": "device"}
            assert not await node.residency.evict_sibling(out_of_memory)  # b is pinned
        await node.residency.pin(ref("b"), False)
        async with node.residency.acquire(ref("c")) as out_of_memory:
            assert await node.residency.evict_sibling(out_of_memory)
            assert node.tiers() == {"a": "host", "b": "host", "c": "device"}

    on_node(work)


def test_a_pinned_model_stays_until_it_is_unpinned(on_node):
    async def work(node):
        await node.residency.pin(ref("a"), True)
        await node.use("b", "c", "d")
        assert node.tiers()["a"] == "device"
        await node.residency.pin(ref("a"), False)
        await node.use("b", "c")
        assert node.tiers()["a"] == "host"
        await node.residency.pin(ref("a"), True)  # comes back
        assert node.tiers()["a"] == "device"

    on_node(work)


def test_pins_that_do_not_fit_together_are_refused_and_the_others_served(on_node):
    async def work(node):
        await node.residency.pin(ref("a"), True)
        await node.residency.pin(ref("b"), True)
        with pytest.raises(ModelTooLarge, match=r"model c needs 40 bytes.*budget is 100.*pinned models hold 80"):
            await node.residency.pin(ref("c"), True)
        await node.use("a", "b")
        await node.residency.pin(ref("b"), False)
        await node.use("c", "d")  # c is not pinned, so d finds room
        assert node.tiers()["a"] == "device"

    on_node(work)


def test_a_model_and_its_batches_must_fit_together(on_node):
    async def work(node):
        plan = node.plan
        node.residency._plan = lambda wanted, _: LoadPlan(
            plan(wanted).bytes, plan(wanted).load, activation={"a": 10, "b": 30, "c": 61}[wanted.id]
        )
        await node.use("a")
        await node.use("b")  # 80 of weights and once 30
        assert node.residency.used == 40
        with pytest.raises(ModelTooLarge, match=r"needs 40 bytes and its batches 61; the device has 100 for both"):
            await node.use("c")
        assert node.tiers()["b"] == "device"

    on_node(work, total=100)


def test_a_model_whose_batches_turn_out_larger_than_thought_displaces_an_idle_one(on_node):
    async def work(node):
        load = node.machine.load

        def measured(spec):
            model = load(spec)
            model.activation = 30
            return model

        await node.use("a")
        node.machine.load = measured
        async with node.residency.acquire(ref("b")):
            assert node.tiers() == {"a": "host", "b": "device"}

    on_node(work, total=100)


def test_another_policy_keeps_what_is_dear_to_bring_back(on_node):
    async def work(node):
        node.specs["a"] = FakeSpec(40, load_seconds=100.0)
        await node.use("a", "b", "c", "d")
        assert node.tiers() == {"a": "device", "d": "device"}

    on_node(work, host_budget=0, policy=greedy_dual_size_frequency)


def test_a_load_that_failed_holds_no_memory(run):
    class Weights:
        pass

    alive = []

    def load():
        weights = Weights()
        alive.append(weakref.ref(weights))
        raise ModelInvalid("broken")

    async def work():
        residency = Residency(budget=10, plan=lambda *_: LoadPlan(1, load), work=threads)
        with pytest.raises(ModelInvalid):
            await residency.load(ref("a"))
        assert alive[0]() is None
        await residency.close()

    import gc

    gc.disable()
    try:
        run(work())
    finally:
        gc.enable()


def test_a_load_that_hangs_does_not_keep_the_process_alive():
    code = """
import asyncio, time
from engine.work import threads

async def main():
    try:
        async with asyncio.timeout(0.1):
            await threads(lambda: time.sleep(1000))
    except TimeoutError:
        print("given up")

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, timeout=30, capture_output=True, text=True)
    assert done.stdout == "given up\n"
