"""What was found broken in the nearest peer (SIE 0.3.1), each as a test that would have failed there.

Its own tests passed: they touched models by hand and mocked the registry. Here all goes the way that requests go.
"""

import asyncio
import threading
from collections import Counter

import numpy as np
import pytest

import engine.runtime
from engine.encoded import Encoded
from engine.errors import ModelInvalid
from engine.loading.loaded import LoadedModel
from engine.protocol import EmbedRequest, RerankRequest
from engine.scheduler import Scheduler
from engine.simulation.virtual_time import VirtualLoop

TEXTS = [" ".join(f"w{(place + word) % 95}" for word in range(1 + place % 7)) for place in range(12)]


class Gate:
    """Holds every forward pass while it is closed; counts those that reached it."""

    def __init__(self, monkeypatch):
        self.reached = threading.Semaphore(0)
        self.open = threading.Event()
        self.open.set()
        run = LoadedModel.run

        def gated(model, batch):
            self.reached.release()
            assert self.open.wait(20)
            return run(model, batch)

        monkeypatch.setattr(LoadedModel, "run", gated)

    async def a_pass_begins(self):
        await asyncio.to_thread(self.reached.acquire)


@pytest.fixture
def gate(monkeypatch):
    gate = Gate(monkeypatch)
    yield gate
    gate.open.set()


def on_device(runtime):
    return {model.id for model in runtime.status().models if model.tier == "device"}


def room_for(models, bytes_each):
    """A budget that holds so many, and not one more."""
    return models * bytes_each + bytes_each // 2


@pytest.fixture
def zoo(build_checkpoint, opened, run):
    """Three models of one size, that size, and what each says to TEXTS when it is alone."""
    checkpoints = [build_checkpoint(f"m{seed}", seed=seed) for seed in range(3)]
    refs = [checkpoint.ref() for checkpoint in checkpoints]

    async def ask():
        async with opened() as runtime:
            alone = {}
            for ref in refs:
                replies = [await runtime.embed(EmbedRequest(ref, [text])) for text in TEXTS]
                alone[ref.id] = [reply.vectors for reply in replies]
            return alone, runtime.status().models[0].bytes

    alone, size = run(ask())
    return refs, size, alone


def same(reply, vectors):
    return np.allclose(np.frombuffer(reply.vectors, "<f4"), np.frombuffer(vectors, "<f4"), atol=1e-5)


def test_eviction_and_unloading_abandon_no_request(opened, run, zoo, gate):
    """§2.2: 12 of 12 requests in flight never resolved when their model was evicted."""
    (first, second, _), size, alone = zoo

    async def work():
        async with opened(memory_budget=room_for(1, size)) as runtime:
            await runtime.load(first)
            gate.open.clear()
            in_flight = [asyncio.create_task(runtime.embed(EmbedRequest(first, [text]))) for text in TEXTS]
            await gate.a_pass_begins()
            evicting = asyncio.create_task(runtime.embed(EmbedRequest(second, TEXTS[:1])))
            unloading = asyncio.create_task(runtime.unload(first))
            await asyncio.sleep(0.05)
            assert on_device(runtime) == {first.id}, "a model in use was evicted"
            gate.open.set()
            replies = await asyncio.gather(*in_flight)
            await asyncio.gather(evicting, unloading)
            assert all(same(reply, vectors) for reply, vectors in zip(replies, alone[first.id], strict=True))
            assert on_device(runtime) == {second.id}

    run(work())


@pytest.mark.parametrize("call", ["embed", "rerank"])
def test_who_leaves_is_the_least_recently_used_not_the_first_loaded(opened, run, zoo, call):
    """§2.2: what served requests never touched the order, so it was that of the loads."""
    (first, second, third), size, _ = zoo

    async def use(runtime, ref):
        if call == "embed":
            await runtime.embed(EmbedRequest(ref, ["w1"]))
        else:
            await runtime.rerank(RerankRequest(ref, "w1", ["w2"]))

    async def work():
        async with opened(memory_budget=room_for(2, size)) as runtime:
            for ref in (first, second, first, third):
                await use(runtime, ref)
            assert on_device(runtime) == {first.id, third.id}

    run(work())


def test_a_model_in_use_is_not_idle_however_long_ago_it_was_loaded(opened, run, zoo, gate):
    """§2.2: with an idle time-out of 300 s a model under constant traffic was unloaded 300 s after its load."""
    (ref, *_), _, _ = zoo
    timeout = 0.2

    async def work():
        async with opened(idle_timeout=timeout) as runtime:
            await runtime.load(ref)
            gate.open.clear()
            long_work = asyncio.create_task(runtime.embed(EmbedRequest(ref, ["w1"])))
            await asyncio.sleep(4 * timeout)
            assert on_device(runtime) == {ref.id}
            gate.open.set()
            await long_work
            assert on_device(runtime) == {ref.id}, "the idle time began before the request ended"
            while on_device(runtime):  # and a model that is idle does leave
                await asyncio.sleep(0.01)

    run(work())


class Recorder:
    """A device on virtual time: a second for a thousand tokens. Keeps who was in which batch."""

    def __init__(self):
        self.batches = []

    async def pack(self, model, encoded):
        return encoded

    async def run(self, model, packed):
        await asyncio.sleep(sum(map(len, packed)) / 1000)
        self.batches.append([(model, int(sequence.ids[0]), len(sequence)) for sequence in packed])
        return [np.zeros(1, dtype=np.float32) for _ in packed]


def virtually(work):
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work())


def text(length, name=0):
    return Encoded(np.full(length, name, dtype=np.int32))


async def flood(scheduler, model, length, until, *, callers=64, **options):
    """`callers` who send short texts, each the next one as soon as the last is answered."""

    async def call():
        while not until():
            await scheduler.run(model, [text(length)], **options)

    await asyncio.gather(*(call() for _ in range(callers)))


@pytest.mark.parametrize("flow", ["", "somebody else"])
def test_a_long_text_is_served_among_a_flood_of_short_ones(flow):
    """§2.3: batches were filled shortest first; one long text was not served in 1,258 batches."""

    async def work():
        device = Recorder()
        scheduler = Scheduler(work=device, batch_tokens=512, max_waiting_tokens=1_000_000)
        done = []
        flooding = asyncio.create_task(flood(scheduler, "model", 8, lambda: bool(done)))
        await asyncio.sleep(3)
        before = len(device.batches)
        await scheduler.run("model", [text(512)], flow=flow)
        done.append(True)
        await flooding
        await scheduler.close()
        return len(device.batches) - before

    assert virtually(work) <= 5


def test_a_flow_that_sends_a_flood_does_not_starve_the_others():
    """§2.3: the drain loop let one adapter's requests keep the device as long as they came."""

    async def work():
        device = Recorder()
        scheduler = Scheduler(work=device, batch_tokens=512, max_waiting_tokens=10_000_000)
        done = []
        noisy = [
            asyncio.create_task(flood(scheduler, "model", 32, lambda: bool(done), flow=f"noisy {n}")) for n in range(10)
        ]
        await asyncio.sleep(20)
        waits = []
        for _ in range(10):
            ran = await scheduler.run("model", [text(8)], flow="quiet")
            waits.append(ran.queued)
        done.append(True)
        await asyncio.gather(*noisy)
        await scheduler.close()
        return max(waits)

    # 640 texts of 32 tokens wait, 20 s of work; the quiet flow waits for the batch that runs and the one prepared
    assert virtually(work) < 3.0


def test_a_model_that_is_flooded_does_not_starve_the_others():
    """§2.3: a thread for each model and nothing between them: who asked most had the device."""

    async def work():
        device = Recorder()
        scheduler = Scheduler(work=device, batch_tokens=512, max_waiting_tokens=10_000_000)
        done = []
        flooding = asyncio.create_task(flood(scheduler, "hot", 64, lambda: bool(done), callers=200))
        await asyncio.sleep(5)
        cold = [await scheduler.run("cold", [text(8)]) for _ in range(5)]
        done.append(True)
        await flooding
        await scheduler.close()
        switches = sum(a[0][0] != b[0][0] for a, b in zip(device.batches, device.batches[1:], strict=False))
        return max(ran.queued for ran in cold), switches

    waited, switches = virtually(work)
    assert waited < 3.0
    assert switches <= 2 * 5, "the device went to and fro between models more often than there were turns"


def test_bulk_work_is_neither_starved_nor_in_the_way():
    """§2.3: one queue for everybody: a bulk job made everyone wait, and priorities would have starved it."""

    async def work():
        device = Recorder()
        scheduler = Scheduler(work=device, batch_tokens=512, max_waiting_tokens=10_000_000, bulk_share=0.1)
        done, tokens, waits = [], Counter(), []

        async def call(lane, length):
            while not done:
                ran = await scheduler.run("model", [text(length)], lane=lane)
                if not done:
                    tokens[lane] += length
                    waits.extend([ran.queued] * (lane == "interactive"))

        callers = [asyncio.create_task(call("interactive", 16)) for _ in range(256)]
        callers += [asyncio.create_task(call("bulk", 128)) for _ in range(64)]
        await asyncio.sleep(100)
        done.append(True)
        await asyncio.gather(*callers)
        await scheduler.close()
        return tokens["bulk"] / tokens.total(), max(waits)

    share, longest_wait = virtually(work)
    assert share == pytest.approx(0.1, abs=0.01)
    # 4,096 interactive tokens are always there, 4.1 s of the device; of bulk work no more than its share comes between
    assert longest_wait < 4.1 / 0.9 + 0.2


def test_one_slow_load_holds_up_no_other_model(opened, run, zoo, monkeypatch):
    """§2.2: one lock for all models: a load waited for the downloads, loads and drains of every other one."""
    (slow, quick, _), _, _ = zoo
    released = threading.Event()
    plan_load = engine.runtime.plan_load

    def held(ref, device, progress):
        if ref == slow:
            assert released.wait(20)
        return plan_load(ref, device, progress)

    monkeypatch.setattr(engine.runtime, "plan_load", held)

    async def work():
        async with opened() as runtime:
            waiting = asyncio.create_task(runtime.embed(EmbedRequest(slow, ["w1"])))
            await asyncio.sleep(0.02)
            await runtime.embed(EmbedRequest(quick, ["w1"]))
            await runtime.unload(quick)
            assert not waiting.done()
            released.set()
            assert (await waiting).dimensions

    try:
        run(work())
    finally:
        released.set()


def test_parallel_first_calls_load_a_model_once_and_a_terminal_failure_says_no_come_back(opened, run, zoo, tmp_path):
    """§5, 17 and 18."""
    (ref, broken, _), _, _ = zoo
    (tmp_path / broken.id / "model.safetensors").write_bytes(b"junk")

    async def work():
        async with opened() as runtime:
            await asyncio.gather(*(runtime.embed(EmbedRequest(ref, ["w1"])) for _ in range(20)))
            page = runtime.metrics.render().decode()
            assert 'shoal_engine_loads_total{outcome="resident"} 1.0' in page
            with pytest.raises(ModelInvalid) as refused:
                await runtime.embed(EmbedRequest(broken, ["w1"]))
            assert refused.value.retry_after is None

    run(work())


def test_requests_that_differ_in_their_options_share_a_batch(opened, run, build_checkpoint, edit_json, gate):
    """§2.3: a batch was split by its requests' options into a pass for each."""
    checkpoint = build_checkpoint()
    edit_json(checkpoint.folder / "config.json", matryoshka_dimensions=[8, 16])
    options = [{}, {"dimensions": 8}, {"dimensions": 16}, {"truncate": False}, {"flow": "other"}]

    async def work():
        async with opened(threads=1) as runtime:
            await runtime.load(checkpoint.ref())
            gate.open.clear()
            first = asyncio.create_task(runtime.embed(EmbedRequest(checkpoint.ref(), ["w1"])))
            await gate.a_pass_begins()
            calls = [
                asyncio.create_task(runtime.embed(EmbedRequest(checkpoint.ref(), ["w1 w2"], **option)))
                for option in options
            ]
            while runtime.status().waiting_tokens < 4 * len(options):
                await asyncio.sleep(0.001)
            gate.open.set()
            await asyncio.gather(first, *calls)
            assert "shoal_engine_batch_sequences_count 2.0" in runtime.metrics.render().decode()

    run(work())
