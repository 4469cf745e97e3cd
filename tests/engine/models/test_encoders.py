"""What encoders are asked for by a config and do not do is refused by name; checkpoints of several layouts load."""

import pytest
import torch

from benchmarks.families.cases import CASES
from benchmarks.families.checks import load
from benchmarks.families.folder import edit, rename
from engine.catalog import describe
from engine.errors import ArchitectureUnknown, ModelInvalid, WeightMismatch
from engine.layers.alibi import slopes


@pytest.fixture
def write(tmp_path):
    """Writes a case's folder by its name."""

    def write_case(name):
        next(case for case in CASES if case.name == name).write(tmp_path)
        return tmp_path

    return write_case


@pytest.mark.parametrize(
    ("name", "config", "said"),
    [
        ("roberta: RoBERTa", {"position_embedding_type": "relative_key"}, "relative_key"),
        ("roberta: RoBERTa", {"is_decoder": True}, "is_decoder"),
        ("roberta: Jina v3", {"rope_scaling": {"type": "yarn", "factor": 2.0}}, "yarn"),
        ("electra: embeddings of 16", {"hidden_act": "mish"}, "mish"),
        ("mpnet: plain", {"relative_attention_num_buckets": 64}, "64 buckets"),
        ("nomic_bert: v1.5 as on the hub", {"prenorm": True}, "prenorm"),
        ("nomic_bert: v1.5 as on the hub", {"rotary_emb_fraction": 0.5}, "rotary_emb_fraction"),
        ("nomic_bert: v1.5 as on the hub", {"activation_function": "mish"}, "mish"),
        ("nomic_bert: v2: eight experts, two of them used", {"moe_normalize_expert_weights": True}, "normalize"),
        ("gte: hub: no types", {"layer_norm_type": "rms_norm"}, "rms_norm"),
        ("gte: hub: no types", {"logn_attention_scale": True}, "logn"),
        ("gte: hub: no types", {"position_embedding_type": "absolute"}, "absolute"),
        ("gte: hub: no types", {"rope_scaling": {"type": "ntk", "factor": 2.0, "mixed_b": 0.6}}, "mixed_b"),
        ("jina_bert: plain", {"feed_forward_type": "original"}, "original"),
        ("jina_bert: plain", {"position_embedding_type": "absolute"}, "absolute"),
    ],
)
def test_what_a_family_does_not_do_is_refused(write, name, config, said):
    folder = write(name)
    edit(folder, **config)
    with pytest.raises(ArchitectureUnknown, match=said):
        load(folder)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("distilbert: plain", "dim"),
        ("electra: embeddings of 16", "embedding_size"),
        ("nomic_bert: v1.5 as on the hub", "n_layer"),
        ("nomic_bert: v2: eight experts, two of them used", "num_experts"),
        ("gte: plain", "type_vocab_size"),
    ],
)
def test_a_config_that_lacks_a_size_is_invalid(write, name, key):
    folder = write(name)
    edit(folder, **{key: None})
    with pytest.raises(ModelInvalid):
        load(folder)


def test_the_positions_before_the_first_are_no_room_for_text(write):
    assert describe(write("roberta: padding token 3, tanh GELU")).max_tokens == 42 - 4


@pytest.mark.parametrize("name", ["gte: plain", "nomic_bert: plain", "jina_v3: plain"])
def test_projections_that_a_checkpoint_stacks_load_apart_too(write, name):
    folder = write(name)
    stacked = {"qkv_proj": "{}_proj", "attn.Wqkv": "self_attn.{}_proj", "mixer.Wqkv": "self_attn.{}_proj"}
    before = load(folder).weights

    def apart(tensors):
        for old, new in stacked.items():
            for key in [key for key in tensors if old in key]:
                for part, rows in zip("qkv", tensors.pop(key).chunk(3), strict=True):
                    tensors[key.replace(old, new.format(part))] = rows
        return tensors

    rename(folder, apart)
    assert torch.equal(load(folder).weights, before)


def test_a_projection_that_is_both_stacked_and_apart_is_refused(write):
    folder = write("gte: plain")

    def twice(tensors):
        key = "encoder.layer.0.attention.qkv_proj.weight"
        return {**tensors, key.replace("qkv", "q"): tensors[key].chunk(3)[0]}

    rename(folder, twice)
    with pytest.raises(WeightMismatch, match=r"q(kv)?_proj"):
        load(folder)


def test_slopes_of_alibi_are_those_of_its_paper():
    assert slopes(8) == [2.0**-power for power in range(1, 9)]
    assert slopes(12) == [*slopes(8), *slopes(16)[0:8:2]]
    assert slopes(1) == [2.0**-8]
