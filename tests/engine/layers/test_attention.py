import itertools

import numpy as np
import pytest
import torch

from engine.batch import pack
from engine.encoded import Encoded
from engine.layers import attention
from engine.layers.attention import attend_runs, resolve_attention


@pytest.mark.parametrize("short", [0, 5, 1000])
@pytest.mark.parametrize("lengths", [[1], [4], [1, 1, 1], [2, 5, 5, 5, 9], [200, 3]])
def test_attention_stays_within_each_sequence(monkeypatch, lengths, short):
    monkeypatch.setattr(attention, "SHORT", short)
    torch.manual_seed(0)
    sequences = pack(
        [Encoded(np.zeros(length, dtype=np.int32)) for length in lengths], torch.device("cpu")
    ).tokens.sequences
    fused = torch.randn(sum(lengths), 3, 2, 8)
    q, k, v = fused.unbind(1)
    ours = attend_runs(q, k, v, sequences, 0.3)
    bounds = sequences.cu_seqlens.tolist()
    for start, end in itertools.pairwise(bounds):
        weights = torch.einsum("qhd,khd->hqk", q[start:end], k[start:end]).mul(0.3).softmax(-1)
        expected = torch.einsum("hqk,khd->qhd", weights, v[start:end])
        torch.testing.assert_close(ours[start:end], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("lengths", [[1], [2, 5, 5, 9], [200, 3], [130, 513], [700]])
def test_a_bias_is_added_by_the_distance_of_key_from_query(lengths):
    torch.manual_seed(0)
    sequences = pack(
        [Encoded(np.zeros(length, dtype=np.int32)) for length in lengths], torch.device("cpu")
    ).tokens.sequences
    q, k, v = torch.randn(sum(lengths), 3, 2, 8).unbind(1)
    table = torch.randn(2, 2000)  # by head and distance, from -1000
    ours = attend_runs(q, k, v, sequences, 0.3, bias=lambda length: table[:, 1001 - length : 1000 + length])
    bounds = sequences.cu_seqlens.tolist()
    for start, end in itertools.pairwise(bounds):
        places = torch.arange(end - start)
        added = table[:, 1000 + places - places[:, None]]  # (H, q, k)
        weights = (torch.einsum("qhd,khd->hqk", q[start:end], k[start:end]).mul(0.3) + added).softmax(-1)
        expected = torch.einsum("hqk,khd->qhd", weights, v[start:end])
        torch.testing.assert_close(ours[start:end], expected, atol=1e-5, rtol=1e-5)


def test_what_the_kernels_can_not_do_runs_as_runs():
    assert resolve_attention(torch.device("cpu"), torch.float32) is attend_runs
    assert resolve_attention(torch.device("cpu"), torch.bfloat16) is attend_runs
    assert resolve_attention(torch.device("cuda"), torch.float32) is attend_runs
    assert resolve_attention(torch.device("cuda"), torch.bfloat16) is not attend_runs


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("window", [None, 0, 3, 70, 5000])
@pytest.mark.parametrize("causal", [True, False])
def test_what_a_token_may_not_see_counts_nothing_at_any_length(monkeypatch, causal, window, groups):
    monkeypatch.setattr(attention, "SHORT", 8)
    monkeypatch.setattr(attention, "BLOCK", 32)
    torch.manual_seed(0)
    lengths = [1, 7, 7, 30, 90]  # products, the fused kernel, blocks of queries
    sequences = pack(
        [Encoded(np.zeros(length, dtype=np.int32)) for length in lengths], torch.device("cpu")
    ).tokens.sequences
    q = torch.randn(sum(lengths), 4, 8)
    k, v = torch.randn(2, sum(lengths), groups, 8)
    ours = attend_runs(q, k, v, sequences, 0.3, causal=causal, window=window)
    k, v = (x.repeat_interleave(4 // groups, dim=1) for x in (k, v))
    for start, end in itertools.pairwise(sequences.cu_seqlens.tolist()):
        away = torch.arange(end - start)[:, None] - torch.arange(end - start)
        hidden = (away < 0 if causal else away < -5000) | (away.abs() > (5000 if window is None else window))
        products = torch.einsum("qhd,khd->hqk", q[start:end], k[start:end]).mul(0.3)
        weights = products.masked_fill(hidden, -torch.inf).softmax(-1)
        expected = torch.einsum("hqk,khd->qhd", weights, v[start:end])
        torch.testing.assert_close(ours[start:end], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "options", [{}, {"causal": True}, {"window": 20}, {"bias": lambda n: torch.zeros(4, 2 * n - 1)}]
)
def test_long_sequences_never_hold_their_weights(options):
    sequences = pack([Encoded(np.zeros(300, dtype=np.int32))] * 2, torch.device("cpu")).tokens.sequences
    fused = torch.randn(600, 3, 4, 8)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        attend_runs(*fused.unbind(1), sequences, 0.3, **options)
    names = {event.key for event in profile.key_averages()}
    assert "aten::_scaled_dot_product_flash_attention_for_cpu" in names
    assert not names & {"aten::_scaled_dot_product_attention_math", "aten::softmax"}


@pytest.mark.parametrize("options", [{}, {"causal": True}, {"window": 9}, {"bias": True}], ids=str)
@pytest.mark.parametrize("short", [0, 1000])
def test_unseen_tokens_see_the_others_and_are_seen_by_none(monkeypatch, short, options):
    monkeypatch.setattr(attention, "SHORT", short)
    torch.manual_seed(0)
    shapes = [(9, 4), (9, 0), (9, 4), (3, 1), (12, 6), (9, 4)]
    sequences = pack(
        [Encoded(np.zeros(length, dtype=np.int32), unseen=unseen) for length, unseen in shapes], torch.device("cpu")
    ).tokens.sequences
    assert [(run.length, run.unseen, run.count) for run in sequences.runs] == [
        (3, 1, 1),
        (9, 0, 1),
        (9, 4, 3),
        (12, 6, 1),
    ]
    q, k, v = torch.randn(sum(length for length, _ in shapes), 3, 2, 8).unbind(1)
    table = torch.randn(2, 2000)
    bias = (lambda length: table[:, 1001 - length : 1000 + length]) if options.get("bias") else None
    ours = attend_runs(q, k, v, sequences, 0.3, **{**options, "bias": bias})
    start = 0
    for length, unseen in sorted(shapes):
        end, places = start + length, torch.arange(length)
        away = places[:, None] - places
        hidden = (places >= length - unseen)[None] | (away.abs() > options.get("window", length))
        if options.get("causal"):
            hidden = hidden | (away < 0)
        products = torch.einsum("qhd,khd->hqk", q[start:end], k[start:end]).mul(0.3)
        if bias is not None:
            products = products + table[:, 1000 - away]
        weights = products.masked_fill(hidden, -torch.inf).softmax(-1)
        expected = torch.einsum("hqk,khd->qhd", weights, v[start:end])
        torch.testing.assert_close(ours[start:end], expected, atol=1e-5, rtol=1e-5)
        start = end
    keys = sequences.keys
    assert keys.cu_seqlens.tolist() == [0, 2, 11, 16, 21, 26, 32]
    assert keys.rows.tolist()[:4] == [0, 1, 3, 4]
