"""Weights that are no numbers, and numbers that pass their type: refused by name, and nobody else's fault."""

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from engine.errors import InferenceFailed, ModelInvalid
from engine.loading.loaded import LoadedModel
from engine.protocol import EmbedRequest

TENSORS = (
    "embeddings.word_embeddings.weight",
    "encoder.layer.1.attention.self.key.weight",
    "encoder.layer.0.output.LayerNorm.bias",
)


def change(checkpoint, name, value):
    file = checkpoint.folder / "model.safetensors"
    tensors = load_file(file)
    tensors[name].view(-1)[-1] = value
    save_file(tensors, file)


@pytest.mark.parametrize("name", TENSORS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_weight_that_is_no_number_is_refused_by_name(build_checkpoint, opened, run, name, value, dtype):
    bad, good = build_checkpoint("bad"), build_checkpoint("good")
    change(bad, name, value)

    async def work():
        async with opened() as runtime:
            with pytest.raises(ModelInvalid, match="finite") as caught:
                await runtime.embed(EmbedRequest(bad.ref(dtype=dtype), ["w1"]))
            assert "bad" in str(caught.value)
            assert caught.value.retry_after is None
            assert [one for one in TENSORS if one in str(caught.value)] == [name]
            assert await runtime.embed(EmbedRequest(good.ref(), ["w1"]))

    run(work())


def test_numbers_that_pass_their_type_are_refused_before_anybody_asks(build_checkpoint, opened, run):
    checkpoint = build_checkpoint(hidden_act="relu")
    file = checkpoint.folder / "model.safetensors"
    tensors = load_file(file)
    for layer in (0, 1):
        tensors[f"encoder.layer.{layer}.intermediate.dense.bias"].fill_(6e4)
        tensors[f"encoder.layer.{layer}.output.dense.weight"].fill_(6e4)
    save_file(tensors, file)

    async def work():
        async with opened() as runtime:
            with pytest.raises(ModelInvalid, match="float16"):
                await runtime.embed(EmbedRequest(checkpoint.ref(dtype="float16"), ["w1"]))
            assert await runtime.embed(EmbedRequest(checkpoint.ref(dtype="float32"), ["w1"]))

    run(work())


def test_a_result_that_is_no_number_is_an_error_of_its_own_request(build_checkpoint, opened, run, monkeypatch):
    checkpoint = build_checkpoint()
    compute = LoadedModel.run

    def broken(self, batch):
        rows = compute(self, batch)
        for place, encoded in zip(batch.order, batch.encoded, strict=True):
            if len(encoded) == 3:
                rows[place]["dense"] = np.full_like(rows[place]["dense"], np.nan)
        return rows

    async def work():
        async with opened() as runtime:
            await runtime.embed(EmbedRequest(checkpoint.ref(), ["w1"]))
            monkeypatch.setattr(LoadedModel, "run", broken)
            with pytest.raises(InferenceFailed, match="float32"):
                await runtime.embed(EmbedRequest(checkpoint.ref(), ["w1"]))
            assert await runtime.embed(EmbedRequest(checkpoint.ref(), ["w1 w2"]))

    run(work())
