"""Every metric that is documented is there from the start, and every one of them moves when what it counts happens."""

import asyncio
import re
import threading
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import SpanProcessor
from prometheus_client.parser import text_string_to_metric_families
from transformers import AlbertConfig, AlbertModel

from benchmarks.families.folder import write_folder
from engine.errors import DeadlinePassed, ModelInvalid, OutOfMemory
from engine.loading.loaded import LoadedModel
from engine.protocol import EmbedRequest, ModelRef
from shoal.tracing.tracer import NodeTracer

ARCHITECTURE = Path(__file__).parents[2] / "ARCHITECTURE.md"


def series(page):
    """Value by name and labels; of a histogram its count alone."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if not sample.name.endswith(("_created", "_bucket", "_sum"))
    }


def test_the_documented_metrics_are_those_of_the_page(opened, run):
    documented = set(re.findall(r"`(shoal_engine_\w+)", ARCHITECTURE.read_text()))

    async def work():
        async with opened() as runtime:
            return runtime.metrics.render().decode()

    served = set(re.findall(r"^# TYPE (shoal_engine_\w+)", run(work()), re.MULTILINE))
    assert documented == {name for name in served if not name.endswith("_created")}


class Collector(SpanProcessor):
    """Takes every second span of a trace, and loses the others."""

    def __init__(self):
        self.counts = {"exported": 0, "dropped": 0}

    def on_end(self, span):
        outcome = "dropped" if self.counts["exported"] > self.counts["dropped"] else "exported"
        self.counts[outcome] += 1


class Trouble:
    """Makes forward passes wait, or run out of memory."""

    def __init__(self, monkeypatch):
        self.release = threading.Event()
        self.held = False
        self.sizes = ()
        """Numbers of sequences for which the memory is too small."""
        run_batch = LoadedModel.run

        def troubled(model, batch):
            if self.held:
                assert self.release.wait(20)
            if len(batch.order) in self.sizes:
                raise MemoryError
            return run_batch(model, batch)

        monkeypatch.setattr(LoadedModel, "run", troubled)


@pytest.fixture
def trouble(monkeypatch):
    trouble = Trouble(monkeypatch)
    yield trouble
    trouble.release.set()


class Node:
    """A node with room for one model on the device and one beside it, and what its page ever showed above 0."""

    def __init__(self, client, runtime):
        self.runtime = runtime
        self.moved = set()
        self._client = client

    async def scrape(self):
        page = series((await self._client.get("/metrics")).text)
        self.moved.update(key for key, value in page.items() if value)
        return page

    async def embed(self, ref, *texts, **options):
        return await self.runtime.embed(EmbedRequest(ref, list(texts) or ["w1"], **options))

    async def send_junk(self):
        headers = {"traceparent": f"00-{'1' * 32}-{'2' * 16}-01"}
        for _ in range(2):
            await self._client.post("/embed", content=b"junk", headers=headers)

    async def until(self, true):
        while not true(self.runtime.status()):
            await asyncio.sleep(0.001)


async def swap(node, models):
    for ref in (models[0], models[1], models[2], models[1]):
        await node.embed(ref)
    await node.scrape()
    await node.runtime.unload(models[1])


async def run_padded(node, folder):
    ref = ModelRef(id="albert", source=str(folder))
    await node.embed(ref)
    await node.scrape()
    await node.runtime.unload(ref)


async def miss_deadlines(node, ref):
    for lane in ("interactive", "bulk"):
        await node.embed(ref, lane=lane)
        with pytest.raises(DeadlinePassed):
            await node.embed(ref, lane=lane, patience=0.0)


async def run_out_of_memory(node, ref, trouble):
    trouble.sizes = (2,)
    await node.embed(ref, "w1", "w2")
    trouble.sizes = (1, 2)
    with pytest.raises(OutOfMemory):
        await node.embed(ref, "w1", "w2")
    trouble.sizes = ()


async def crowd(node, ref, endless, trouble):
    trouble.held = True
    lanes = ("interactive", "bulk") * 4
    waiting = [asyncio.create_task(node.embed(ref, *["w1"] * 200, lane=lane)) for lane in lanes]
    waiting.append(asyncio.create_task(node.embed(endless)))
    await node.until(lambda status: status.waiting_tokens > 1000)
    await node.until(lambda status: any(model.tier == "loading" for model in status.models))
    return waiting


def test_every_series_is_there_from_the_start_and_moves(
    opened, served, run, build_checkpoint, before_load, trouble, tmp_path
):
    models = [build_checkpoint(f"m{seed}", seed=seed).ref() for seed in range(4)]
    broken = build_checkpoint("broken")
    (broken.folder / "model.safetensors").write_bytes(b"junk")
    albert = tmp_path / "albert"
    config = AlbertConfig(vocab_size=100, embedding_size=8, hidden_size=16, num_attention_heads=2, intermediate_size=16)
    write_folder(albert, {**config.to_dict(), "architectures": ["AlbertModel"]}, AlbertModel(config).state_dict())
    before_load("m3", lambda: trouble.release.wait(20))

    async def size():
        async with opened() as runtime:
            return (await runtime.load(models[0])).models[0].bytes

    room = 3 * run(size()) // 2

    async def work():
        tracing = NodeTracer(Collector(), {})
        async with served(memory_budget=room, host_budget=room, tracing=tracing) as (client, runtime):
            node = Node(client, runtime)
            first = await node.scrape()
            await swap(node, models)
            await run_padded(node, albert)
            await node.send_junk()
            await miss_deadlines(node, models[0])
            await run_out_of_memory(node, models[0], trouble)
            with pytest.raises(ModelInvalid):
                await node.embed(broken.ref())
            await runtime.pin(models[0])
            await node.scrape()
            await runtime.unpin(models[0])
            waiting = await crowd(node, models[0], models[3], trouble)
            await node.scrape()
            trouble.release.set()
            await asyncio.gather(*waiting)
            return first, await node.scrape(), node.moved

    first, last, moved = run(work())
    still = (first.keys() | last.keys()) - moved
    assert not still, f"nothing moved these: {sorted(still)}"
    late = {name for name, _ in last.keys() - first.keys()}
    assert late == {"shoal_engine_requests_total", "shoal_engine_request_seconds_count"}
