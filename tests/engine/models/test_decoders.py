"""What decoders and local encoders read from their configs, and what they refuse."""

import json

import pytest
import torch

from benchmarks.families.cases import CASES
from benchmarks.families.checks import hidden_states, load
from benchmarks.families.folder import edit
from engine.catalog import describe
from engine.errors import ArchitectureUnknown, ModelInvalid
from engine.layers.disentangled import buckets
from engine.layers.norm import CentredRmsNorm
from engine.layers.rope import Rope


@pytest.fixture
def write(tmp_path):
    def one(name):
        case = next(case for case in CASES if case.name == name)
        case.write(tmp_path)
        return case

    return one


@pytest.mark.parametrize(
    ("name", "changes", "error", "said"),
    [
        ("llama: plain", {"rope_parameters": {"rope_type": "yarn", "factor": 4.0}}, ArchitectureUnknown, "'yarn'"),
        ("qwen2: causal", {"rope_scaling": {"type": "dynamic", "factor": 4.0}}, ArchitectureUnknown, "'dynamic'"),
        ("llama: plain", {"partial_rotary_factor": 0.5}, ArchitectureUnknown, "part of each head"),
        ("llama: plain", {"rope_scaling": {"rope_type": "llama3", "factor": 8}}, ModelInvalid, "low_freq_factor"),
        ("qwen3: causal", {"num_attention_heads": 3}, ModelInvalid, "num_attention_heads"),
        ("mistral: no window", {"hidden_act": "mish"}, ArchitectureUnknown, "'mish'"),
        ("gemma3: causal", {"attn_logit_softcapping": 50.0}, ArchitectureUnknown, "softcapping"),
        ("gemma: one head of keys", {"use_bidirectional_attention": True}, ArchitectureUnknown, "bidirectional"),
        ("modernbert: plain", {"norm_eps": None}, ModelInvalid, "layer_norm_eps"),
        ("deberta_v2: v3", {"pos_att_type": "c2p|p2p"}, ArchitectureUnknown, "p2p"),
        ("deberta_v2: v2-xlarge", {"conv_groups": 2}, ArchitectureUnknown, "conv_groups"),
    ],
)
def test_what_a_network_can_not_do_is_refused_by_name(write, tmp_path, name, changes, error, said):
    write(name)
    edit(tmp_path, **changes)
    with pytest.raises(error, match=said):
        load(tmp_path)


@pytest.mark.parametrize("name", ["qwen2: causal", "qwen3: causal", "mistral: no window", "llama: plain"])
def test_a_later_token_changes_no_earlier_one_where_attention_is_causal(write, tmp_path, name):
    case = write(name)
    [whole] = hidden_states(load(tmp_path), [encoded := max(case.sequences(), key=len)])
    encoded.ids[-1] = (encoded.ids[-1] + 1) % 90 + 5
    [changed] = hidden_states(load(tmp_path), [encoded])
    assert abs(whole[:-1] - changed[:-1]).max() < 1e-6
    assert abs(whole[-1] - changed[-1]).max() > 1e-2
    edit(tmp_path, is_causal=False)
    [both_ways] = hidden_states(load(tmp_path), [encoded])
    assert abs(both_ways[0] - changed[0]).max() > 1e-2


def test_a_window_left_out_of_a_config_is_the_reference_librarys(write, tmp_path):
    write("mistral: no window")
    edit(tmp_path, sliding_window=None)  # takes the key out
    assert describe(tmp_path).config["sliding_window"] == 4096


@pytest.mark.parametrize(
    ("name", "heads"),
    [
        ("modernbert: plain", {"head.dense.weight": (32, 32), "decoder.bias": (100,), "classifier.weight": (2, 32)}),
        ("deberta_v2: v3", {"pooler.dense.weight": (32, 32), "lm_predictions.lm_head.bias": (100,)}),
        ("qwen3: causal", {"lm_head.weight": (100, 32)}),
        ("llama: plain", {"score.weight": (1, 32), "layers.0.self_attn.rotary_emb.inv_freq": (4,)}),
    ],
)
def test_what_belongs_to_a_head_is_not_the_bodys(write, tmp_path, name, heads):
    from safetensors.torch import load_file, save_file

    case = write(name)
    expected = hidden_states(load(tmp_path), case.sequences())
    prefix = "deberta." if "deberta" in name else "model."
    body = {prefix + key: tensor for key, tensor in load_file(tmp_path / "model.safetensors").items()}
    save_file({**body, **{key: torch.ones(shape) for key, shape in heads.items()}}, tmp_path / "model.safetensors")
    for ours, theirs in zip(hidden_states(load(tmp_path), case.sequences()), expected, strict=True):
        assert (ours == theirs).all()


@pytest.mark.parametrize("size", [8, 256])
@pytest.mark.parametrize("longest", [1, 4, 5, 200, 700])
def test_distances_fall_into_the_references_buckets(size, longest):
    from transformers.models.deberta_v2.modeling_deberta_v2 import build_relative_position

    blank = torch.empty(1, longest, 1)
    theirs = (build_relative_position(blank, blank, size, 512)[0] + size).clamp(0, 2 * size - 1)
    ours = buckets(longest, size, (size, 512))
    places = torch.arange(longest)
    assert torch.equal(ours[places[:, None] - places + longest - 1], theirs)


def test_llama_3_keeps_short_waves_and_stretches_long_ones():
    config = {"rope_scaling": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4}}
    rope = Rope.from_json({**config, "max_position_embeddings": 8192}, base=500_000.0)
    stretched, plain = rope.frequencies(128, torch.device("cpu")), Rope(500_000.0).frequencies(128, torch.device("cpu"))
    assert stretched[0] == plain[0]
    assert stretched[-1] == plain[-1] / 8
    assert (stretched.diff() < 0).all()


def test_gammas_embeddings_are_scaled_by_a_rounded_root(write, tmp_path):
    from engine.layers.tokens import Sequences, Tokens

    write("gemma3: EmbeddingGemma")
    body = load(tmp_path, torch.bfloat16).network.body
    body.layers = torch.nn.ModuleList()
    body.windows = ()
    seen = []
    body.norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    ids = torch.arange(5, 20, dtype=torch.int32)
    body(Tokens(ids, torch.arange(15, dtype=torch.int32), Sequences(torch.tensor([0, 15], dtype=torch.int32), 15, ())))
    assert torch.equal(seen[0], body.word.weight[5:20] * torch.tensor(32**0.5).to(torch.bfloat16))


def test_gemmas_norm_applies_its_weight_before_it_rounds():
    from transformers.models.gemma3.modeling_gemma3 import Gemma3RMSNorm

    torch.manual_seed(0)
    ours, theirs = CentredRmsNorm(32, 1e-6), Gemma3RMSNorm(32, 1e-6)
    with torch.no_grad():
        theirs.weight.normal_()
        ours.weight.copy_(theirs.weight)
    x = torch.randn(7, 32)
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-6, rtol=0)
    ours, theirs, x = ours.to(torch.bfloat16), theirs.to(torch.bfloat16), x.to(torch.bfloat16)
    assert torch.equal(ours(x), theirs(x))


def test_cases_cover_both_layouts_of_config(write, tmp_path):
    write("modernbert: config of transformers 4")
    keys = set(json.loads((tmp_path / "config.json").read_text()))
    assert {"global_rope_theta", "local_rope_theta", "global_attn_every_n_layers"} <= keys
    assert not keys & {"layer_types", "rope_parameters"}
