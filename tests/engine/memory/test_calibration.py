import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peak_memory import bound_of, peak_of

from engine.architectures import common_config
from engine.batch import pack
from engine.catalog import describe
from engine.device import open_device
from engine.encoded import Encoded
from engine.layers.attention import attend_runs
from engine.loading.loaded import load_model
from engine.memory.calibration import Calibration, calibrate, powers_of_two
from engine.models import FAMILIES
from engine.settings import EngineSettings


@pytest.fixture(autouse=True)
def threads():
    """Sets how many threads share a product; afterwards they are as many as before."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("lengths", "at_least"),
    [([128] * 4, 0.9), ([64] * 8, 0.5), ([256] * 2, 0.5), ([2] * 256, 0.5), ([120, 90, 7], 0.5)],
)
@pytest.mark.filterwarnings("ignore")
def test_the_arithmetic_bounds_what_a_batch_takes(starter, dtype, lengths, at_least):
    model = load_model(describe(starter), open_device(EngineSettings(device="cpu")), dtype)
    batch = model.pack([Encoded(np.zeros(length, dtype=np.int32)) for length in lengths])
    model.run(batch)
    expected = bound_of(model.spec.config, model.spec.family, dtype, lengths, longest=256)
    assert at_least * expected <= peak_of(lambda: model.run(batch)) <= expected * 1.01


SIZES = {
    "vocab_size": 50,
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 512,
    "max_position_embeddings": 1100,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-6,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
}
GROUPS = {"num_key_value_heads": 2, "head_dim": 64, "query_pre_attn_scalar": 64, "sliding_window": 200}
DISTANCES = {
    "relative_attention": True,
    "position_buckets": 256,
    "share_att_key": True,
    "pos_att_type": "c2p|p2c",
    "position_biased_input": False,
    "conv_kernel_size": 3,
}
EXPERTS = {"activation_function": "swiglu", "moe_every_n_layers": 2, "num_experts": 8, "moe_top_k": 2}
OWN = {
    "electra": [{"embedding_size": 64}],
    "mpnet": [{"relative_attention_num_buckets": 32}],
    "nomic_bert": [{}, EXPERTS],
    "gte": [{"position_embedding_type": "rope"}],
    "jina_v3": [{"position_embedding_type": "rotary"}],
    "jina_bert": [{"position_embedding_type": "alibi", "_name_or_path": path} for path in ("", "jina-qk-post-norm")],
    "deberta_v2": [DISTANCES],
    "gemma3": [{**GROUPS, "use_bidirectional_attention": both} for both in (True, False)],
    "qwen2": [GROUPS],
    "qwen3": [GROUPS],
    "gemma": [GROUPS, {**GROUPS, "num_key_value_heads": 1}],
    "mistral": [GROUPS, {**GROUPS, "sliding_window": None}],
    "llama_bidirectional": [GROUPS],
}
"""What the families' configs say beside the sizes."""


@pytest.mark.parametrize(("dtype", "together"), [(torch.float32, 1), (torch.bfloat16, 1), (torch.bfloat16, 4)], ids=str)
@pytest.mark.parametrize(
    ("family", "own"), [(family, own) for family in FAMILIES for own in OWN.get(family, [{}])], ids=str
)
@pytest.mark.filterwarnings("ignore")
@torch.inference_mode()
def test_the_arithmetic_bounds_what_every_family_takes(threads, family, own, dtype, together):
    threads(together)
    config = common_config({**SIZES, **own}, family)
    body = FAMILIES[family].build(config, attend_runs).to(dtype)
    for parameter in body.parameters():
        parameter.normal_(0, 0.05)
    for lengths in ([128] * 4, [256] * 2, [2] * 256, [120, 90, 7], [40], [600, 300], [1000]):
        tokens = pack([Encoded(np.zeros(length, dtype=np.int32)) for length in lengths], torch.device("cpu")).tokens
        body(tokens)
        expected = bound_of(config, family, dtype, lengths, longest=1000)
        taken = peak_of(lambda tokens=tokens: body(tokens).float())
        assert 0.25 * expected <= taken <= expected * 1.01, lengths


@pytest.mark.parametrize(
    ("most", "sizes"), [(512, [64, 128, 256, 512]), (300, [64, 128, 256, 300]), (64, [64]), (10, [10])]
)
def test_peaks_are_measured_at_powers_of_two_up_to_the_largest_batch(most, sizes):
    assert powers_of_two(most) == sizes


@given(st.lists(st.tuples(st.integers(1, 1000), st.integers(1, 10**9)), min_size=1, max_size=8), st.integers(1, 5000))
def test_a_batch_is_given_the_peak_of_the_next_larger_one(measured, tokens):
    peaks = sorted(dict(measured).items())
    at = Calibration(tuple(peaks)).at(tokens)
    larger = [peak for size, peak in peaks if size >= tokens]
    assert at == larger[0] if larger else at >= peaks[-1][1]


class Memory:
    """Torch's view of a device with 1000 bytes, on which each token takes one."""

    def __init__(self, monkeypatch, noise=()):
        self.noise = list(noise)
        self.peak = 0
        for name in ("reset_peak_memory_stats", "empty_cache"):
            monkeypatch.setattr(torch.cuda, name, lambda *_: None)
        monkeypatch.setattr(torch.cuda, "memory_allocated", lambda *_: 100)
        monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda *_: self.peak)

    def run(self, tokens):
        if tokens > 900:
            raise torch.OutOfMemoryError
        self.peak = 100 + tokens + (self.noise.pop(0) if self.noise else 0)


def test_a_batch_of_another_model_in_between_does_not_count(monkeypatch):
    memory = Memory(monkeypatch, noise=[0, 500, 0, -60, 0, 0])
    assert calibrate(memory.run, [64, 128], torch.device("cuda")).peaks == ((64, 64), (128, 128))


def test_where_the_memory_ends_the_peaks_so_far_speak_for_the_rest(monkeypatch):
    calibration = calibrate(Memory(monkeypatch).run, [64, 512, 1024], torch.device("cuda"))
    assert calibration.peaks == ((64, 64), (512, 512))
    assert calibration.at(1024) == 1024
