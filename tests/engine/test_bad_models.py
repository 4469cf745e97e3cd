"""Real files that are not what they should be: the error names model and cause, and the node serves the others on."""

import asyncio
import errno
import json
import shutil
import struct
import threading

import huggingface_hub
import pytest

from engine.errors import (
    CheckpointCorrupt,
    DiskFull,
    LoadTimedOut,
    ModelError,
    ModelTooLarge,
    SourceNotFound,
    WeightMismatch,
)
from engine.protocol import EmbedRequest, ModelRef


def weights(checkpoint):
    return checkpoint.folder / "model.safetensors"


def cut_off(checkpoint):
    weights(checkpoint).write_bytes(weights(checkpoint).read_bytes()[:-4])


def scramble_header(checkpoint):
    raw = weights(checkpoint).read_bytes()
    weights(checkpoint).write_bytes(raw[:8] + b"\xff" * 100 + raw[108:])


def edit_header(checkpoint, change):
    raw = weights(checkpoint).read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    change(header)
    written = json.dumps(header).encode()
    weights(checkpoint).write_bytes(struct.pack("<Q", len(written)) + written + raw[8 + length :])


TENSOR = "encoder.layer.0.output.dense.weight"


def lie_about_sizes(checkpoint):
    def change(header):
        header[TENSOR]["shape"] = [10**6, 10**6]

    edit_header(checkpoint, change)


def lie_about_places(checkpoint):
    def change(header):
        start, end = header[TENSOR]["data_offsets"]
        header[TENSOR]["data_offsets"] = [start + 10**9, end + 10**9]

    edit_header(checkpoint, change)


def lie_about_length(checkpoint):
    raw = weights(checkpoint).read_bytes()
    weights(checkpoint).write_bytes(struct.pack("<Q", 2**63) + raw[8:])


def lose_a_tensor(checkpoint):
    from safetensors.torch import load_file, save_file

    tensors = load_file(weights(checkpoint))
    del tensors[TENSOR]
    save_file(tensors, weights(checkpoint))


def disappear(checkpoint):
    shutil.rmtree(checkpoint.folder)


@pytest.fixture
def beside_a_good_one(opened, run, build_checkpoint):
    """Runs `work(runtime, good)` on a node that serves one model, and sees that it still does afterwards."""
    good = build_checkpoint("good").ref()

    def serve(work, **settings):
        async def served():
            async with opened(**settings) as runtime:
                before = await runtime.embed(EmbedRequest(good, ["w1 w2"]))
                await work(runtime, good)
                after = await runtime.embed(EmbedRequest(good, ["w1 w2"]))
                assert after.vectors == before.vectors

        run(served())

    return serve


@pytest.mark.parametrize(
    ("spoil", "error", "cause"),
    [
        (cut_off, CheckpointCorrupt, "model.safetensors"),
        (scramble_header, CheckpointCorrupt, "not JSON"),
        (lie_about_sizes, CheckpointCorrupt, TENSOR),
        (lie_about_places, CheckpointCorrupt, TENSOR),
        (lie_about_length, CheckpointCorrupt, "cut off"),
        (lose_a_tensor, WeightMismatch, "lacks"),
        (disappear, SourceNotFound, "no folder"),
    ],
)
def test_what_is_wrong_with_a_model_is_said_with_its_name(beside_a_good_one, build_checkpoint, spoil, error, cause):
    bad = build_checkpoint("bad")
    spoil(bad)

    async def work(runtime, _):
        for _ in range(2):
            with pytest.raises(error) as refused:
                await runtime.embed(EmbedRequest(bad.ref(), ["w1"]))
            assert "bad" in refused.value.message
            assert cause in refused.value.message
            assert refused.value.retry_after is None
        (listed,) = (model for model in runtime.status().models if model.id == "bad")
        assert (listed.tier, listed.bytes, listed.failure) == ("failed", 0, refused.value.message)

    beside_a_good_one(work)


def test_a_folder_that_disappears_while_its_model_is_loaded_is_missed_at_the_next_load(
    beside_a_good_one, build_checkpoint
):
    going = build_checkpoint("going")

    async def work(runtime, _):
        await runtime.load(going.ref())
        disappear(going)
        assert (await runtime.embed(EmbedRequest(going.ref(), ["w1"]))).dimensions == 32
        await runtime.unload(going.ref())
        with pytest.raises(SourceNotFound, match="going"):
            await runtime.embed(EmbedRequest(going.ref(), ["w1"]))

    beside_a_good_one(work, host_budget=0)


def test_a_folder_that_disappears_between_its_header_and_its_weights(beside_a_good_one, build_checkpoint, before_load):
    going = build_checkpoint("going")
    before_load("going", lambda: disappear(going))

    async def work(runtime, _):
        with pytest.raises(ModelError, match=r"going can not be served.*(disappeared|can not be read)"):
            await runtime.embed(EmbedRequest(going.ref(), ["w1"]))
        assert runtime.status().memory_used == runtime.status().models[0].bytes

    beside_a_good_one(work)


def test_a_model_larger_than_the_device_is_refused_unread(beside_a_good_one, starter_ref):
    async def work(runtime, good):
        with pytest.raises(ModelTooLarge, match=starter_ref.id) as refused:
            await runtime.load(starter_ref)
        assert refused.value.actual > refused.value.limit
        assert good.id in {model.id for model in runtime.status().models if model.tier == "device"}

    beside_a_good_one(work, memory_budget=4_000_000)


def test_a_load_that_never_ends_is_given_up(beside_a_good_one, build_checkpoint, before_load):
    endless = build_checkpoint("endless")
    released = threading.Event()
    before_load("endless", lambda: released.wait(20))

    async def work(runtime, good):
        waiting = asyncio.create_task(runtime.embed(EmbedRequest(endless.ref(), ["w1"])))
        await runtime.embed(EmbedRequest(good, ["w1"]))
        with pytest.raises(LoadTimedOut, match="endless") as refused:
            await waiting
        assert refused.value.retry_after
        assert {model.id: model.tier for model in runtime.status().models}["endless"] == "failed"
        released.set()

    try:
        beside_a_good_one(work, load_timeout=0.3)
    finally:
        released.set()


def test_pins_that_do_not_fit_together_are_refused_and_leave_things_as_they_were(
    beside_a_good_one, build_checkpoint, opened, run
):
    models = [build_checkpoint(f"m{seed}", seed=seed).ref() for seed in range(3)]

    async def size():
        async with opened() as runtime:
            return (await runtime.load(models[0])).models[0].bytes

    bytes_each = run(size())

    async def work(runtime, good):
        await runtime.pin(models[0])
        await runtime.pin(models[1])
        with pytest.raises(ModelTooLarge, match="m2"):
            await runtime.pin(models[2])
        pinned = {model.id for model in runtime.status().models if model.pinned}
        assert pinned == {"m0", "m1"}
        with pytest.raises(ModelTooLarge, match=r"good.*pinned"):
            await runtime.embed(EmbedRequest(good, ["w1"]))
        assert (await runtime.embed(EmbedRequest(models[1], ["w1"]))).dimensions == 32
        await runtime.unpin(models[1])

    beside_a_good_one(work, memory_budget=2 * bytes_each + bytes_each // 2)


def test_a_disk_that_is_full_while_a_model_is_fetched_is_said(beside_a_good_one, monkeypatch):
    def download(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)

    async def work(runtime, _):
        with pytest.raises(DiskFull, match=r"someone/model.*disk is too full|disk is too full.*someone/model") as full:
            await runtime.embed(EmbedRequest(ModelRef("someone/model", "someone/model"), ["w1"]))
        assert full.value.retry_after

    beside_a_good_one(work)
