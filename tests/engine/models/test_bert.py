"""BERT against its reference, alone and in company."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.catalog import describe
from engine.device import open_device
from engine.encoded import Encoded
from engine.errors import ArchitectureUnknown, CheckpointCorrupt, ModelInvalid, WeightMismatch
from engine.heads.vectors import stacked
from engine.loading.loaded import load_model
from engine.settings import EngineSettings

LENGTHS = [3, 7, 3, 1, 30, 12, 7, 7, 2]


@pytest.fixture
def device():
    return open_device(EngineSettings(device="cpu"))


@pytest.fixture
def load(device):
    return lambda folder, dtype=torch.float32: load_model(describe(folder), device, dtype)


def sequences(lengths, vocabulary=100, seed=0):
    generator = np.random.default_rng(seed)
    return [Encoded(generator.integers(0, vocabulary, length, dtype=np.int32)) for length in lengths]


@torch.no_grad()
def hidden_of(model, ids):
    """Hidden states of each sequence, in the order given."""
    batch = model.pack(ids)
    hidden = model.network.body(batch.tokens)
    bounds = batch.tokens.sequences.cu_seqlens.tolist()
    by_place = {place: hidden[start:end] for place, start, end in zip(batch.order, bounds, bounds[1:], strict=False)}
    return [by_place[place] for place in range(len(ids))]


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"hidden_act": "gelu_new"},
        {"hidden_act": "relu", "num_hidden_layers": 1},
        {"hidden_size": 48, "num_attention_heads": 3, "intermediate_size": 100, "num_hidden_layers": 3},
        {"type_vocab_size": 1, "layer_norm_eps": 1e-5},
        {"max_position_embeddings": 200},
    ],
    ids=str,
)
def test_hidden_states_equal_the_reference(build_checkpoint, load, config):
    checkpoint = build_checkpoint(**config)
    ids = sequences([*LENGTHS, min(config.get("max_position_embeddings", 40), 160)])
    for ours, tokens in zip(hidden_of(load(checkpoint.folder), ids), ids, strict=True):
        with torch.no_grad():
            expected = checkpoint.reference(torch.from_numpy(tokens.ids)[None].long()).last_hidden_state[0]
        torch.testing.assert_close(ours, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("normalize", [True, False])
def test_a_text_alone_equals_itself_in_any_batch_and_order(build_checkpoint, load, pooling, normalize):
    model = load(build_checkpoint(pooling={"pooling_mode": pooling}, normalize=normalize).folder)
    ids = sequences(LENGTHS)
    together = stacked(model.run(model.pack(ids)))
    alone = np.concatenate([stacked(model.run(model.pack([tokens]))) for tokens in ids])
    np.testing.assert_allclose(together, alone, atol=1e-6, rtol=0)
    order = np.random.default_rng(1).permutation(len(ids))
    permuted = stacked(model.run(model.pack([ids[place] for place in order])))
    np.testing.assert_allclose(permuted, together[order], atol=1e-6, rtol=0)


def test_a_neighbour_does_not_change_a_vector(build_checkpoint, load):
    model = load(build_checkpoint().folder)
    ids = sequences(LENGTHS)
    other = [ids[0], *sequences(LENGTHS, seed=9)[1:]]
    first, second = (stacked(model.run(model.pack(batch))) for batch in (ids, other))
    np.testing.assert_allclose(first[0], second[0], atol=1e-6, rtol=0)
    assert np.abs(first[1:] - second[1:]).max() > 1e-2


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_pooling_follows_its_definition(build_checkpoint, load, pooling):
    model = load(build_checkpoint(pooling={"pooling_mode": pooling}, normalize=False).folder)
    ids = sequences(LENGTHS)
    expected = [state.mean(0) if pooling == "mean" else state[0] for state in hidden_of(model, ids)]
    np.testing.assert_allclose(stacked(model.run(model.pack(ids))), torch.stack(expected), atol=1e-5)


def test_half_precision_stays_close(build_checkpoint, load):
    folder = build_checkpoint().folder
    ids = sequences(LENGTHS)
    whole, half = (load(folder, dtype) for dtype in (torch.float32, torch.bfloat16))
    cosines = (stacked(whole.run(whole.pack(ids))) * stacked(half.run(half.pack(ids)))).sum(1)
    assert cosines.min() > 0.99


def rewrite(folder, change):
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def test_names_of_checkpoints_with_a_head_load_too(build_checkpoint, load, edit_json):
    checkpoint = build_checkpoint()
    ids = sequences(LENGTHS)
    plain = load(checkpoint.folder)
    expected = stacked(plain.run(plain.pack(ids)))

    def rename(tensors):
        for name in list(tensors):
            renamed = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
            tensors["bert." + renamed] = tensors.pop(name)
        tensors["bert.embeddings.position_ids"] = torch.arange(40)[None]
        tensors["cls.predictions.bias"] = torch.zeros(100)

    rewrite(checkpoint.folder, rename)
    edit_json(checkpoint.folder / "config.json", architectures=["BertForMaskedLM"])
    loaded = load(checkpoint.folder)
    np.testing.assert_array_equal(stacked(loaded.run(loaded.pack(ids))), expected)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tensors: tensors.pop("encoder.layer.1.output.dense.bias"), r"lacks body\.layers\.1\.mlp\.down\.bias"),
        (lambda tensors: tensors.pop("encoder.layer.0.attention.self.key.weight"), r"lacks .*qkv\.weight"),
        (lambda tensors: tensors.update({"encoder.layer.7.x": torch.zeros(1)}), r"unknown encoder\.layer\.7\.x"),
        (
            lambda tensors: tensors.update({"embeddings.LayerNorm.bias": torch.zeros(31)}),
            r"misshapen embeddings\.LayerNorm\.bias \(F32 \[31\]\)",
        ),
        (
            lambda tensors: tensors.update({"embeddings.LayerNorm.bias": torch.zeros(32, dtype=torch.int32)}),
            r"misshapen .*I32",
        ),
        (
            lambda tensors: tensors.update({"bert.embeddings.LayerNorm.bias": torch.zeros(32)}),
            r"unknown .*embeddings\.LayerNorm\.bias",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_named(build_checkpoint, load, change, said):
    folder = build_checkpoint().folder
    rewrite(folder, change)
    with pytest.raises(WeightMismatch, match=said):
        load(folder)


def test_what_the_network_can_not_do_is_refused(build_checkpoint, load, edit_json):
    folder = build_checkpoint().folder
    for config in ({"position_embedding_type": "relative_key"}, {"is_decoder": True}, {"hidden_act": "mish"}):
        original = (folder / "config.json").read_text()
        edit_json(folder / "config.json", **config)
        with pytest.raises(ArchitectureUnknown):
            load(folder)
        (folder / "config.json").write_text(original)
    edit_json(folder / "config.json", type_vocab_size=None)
    with pytest.raises(ModelInvalid, match="type_vocab_size"):
        load(folder)


def test_a_tokenizer_that_can_not_be_read_is_named(build_checkpoint, load):
    folder = build_checkpoint().folder
    (folder / "tokenizer.json").write_text('{"version": "1.0"}')
    with pytest.raises(CheckpointCorrupt, match=r"tokenizer\.json"):
        load(folder)
