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


def test_what_the_kernels_can_not_do_runs_as_runs():
    assert resolve_attention(torch.device("cpu"), torch.float32) is attend_runs
    assert resolve_attention(torch.device("cpu"), torch.bfloat16) is attend_runs
    assert resolve_attention(torch.device("cuda"), torch.float32) is attend_runs
    assert resolve_attention(torch.device("cuda"), torch.bfloat16) is not attend_runs
