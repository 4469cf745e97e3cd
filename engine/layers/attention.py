"""Attention over packed sequences: one signature, three implementations, one chosen when a model is built.

Tokens of sequence i are rows cu_seqlens[i] to cu_seqlens[i+1]; no token sees another sequence, and there is no padding.
"""

import importlib.util
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor
from torch.nn import functional

SHORT = 128
"""Up to this length plain matrix products beat the CPU's fused kernel, whose cost per head is large (measured)."""


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring sequences of equal length: `count * length` rows from `start`."""

    start: int
    count: int
    length: int


@dataclass(frozen=True, slots=True)
class Sequences:
    """Where the sequences of a packed batch lie."""

    cu_seqlens: Tensor
    """(B + 1,) int32, on the batch's device."""
    max_seqlen: int
    runs: tuple[Run, ...]
    """All rows, in order; few where the batch is sorted by length."""


class Attention(Protocol):
    """softmax(scale * q k^T) v within each sequence; q, k, v and the result are (T, H, D)."""

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, sequences: Sequences, scale: float) -> Tensor:
        """(T, H, D)."""
        ...


def resolve_attention(device: torch.device, dtype: torch.dtype) -> Attention:
    """The fastest one for a device and type. Variable-length kernels exist for half precision on CUDA only."""
    if device.type == "cuda" and dtype in (torch.bfloat16, torch.float16):
        return _flash_attention if importlib.util.find_spec("flash_attn") else _varlen_attention
    return attend_runs


def attend_runs(q: Tensor, k: Tensor, v: Tensor, sequences: Sequences, scale: float) -> Tensor:
    """One dense attention per run of equal lengths: (T, H, D)."""
    q = q * scale
    out = torch.empty_like(q, memory_format=torch.contiguous_format)  # (T, H, D)
    for run in sequences.runs:
        rows = slice(run.start, run.start + run.count * run.length)
        shape = (run.count, run.length, *q.shape[1:])
        heads = [x[rows].view(shape).transpose(1, 2) for x in (q, k, v)]  # 3 x (N, H, L, D)
        attend = _attend_short if run.length <= SHORT else _attend_long
        out[rows].view(shape).transpose(1, 2).copy_(attend(heads[0], heads[1], heads[2]))
    return out


def _attend_short(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """(N, H, L, D) from batched products over N * H."""
    shape = q.shape
    q, k, v = (x.flatten(0, 1) for x in (q, k, v))  # (N * H, L, D): a view where N is 1
    weights = torch.bmm(q, k.transpose(1, 2)).softmax(-1)  # (N * H, L, L)
    return torch.bmm(weights, v).view(shape)


def _attend_long(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """(N, H, L, D) from the fused kernel, which never holds L x L weights."""
    return functional.scaled_dot_product_attention(q, k, v, scale=1.0)


def _flash_attention(q: Tensor, k: Tensor, v: Tensor, sequences: Sequences, scale: float) -> Tensor:
    from flash_attn import flash_attn_varlen_func  # type: ignore[import-not-found]  # noqa: PLC0415 - an extra that only CUDA nodes install

    cu_seqlens, max_seqlen = sequences.cu_seqlens, sequences.max_seqlen
    return cast(
        Tensor,
        flash_attn_varlen_func(
            q, k, v, cu_seqlens, cu_seqlens, max_seqlen, max_seqlen, softmax_scale=scale, causal=False
        ),
    )


def _varlen_attention(q: Tensor, k: Tensor, v: Tensor, sequences: Sequences, scale: float) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn  # noqa: PLC0415 - not in every build of torch

    cu_seqlens, max_seqlen = sequences.cu_seqlens, sequences.max_seqlen
    # One split makes the sums of a sequence independent of its neighbours.
    attended = varlen_attn(q, k, v, cu_seqlens, cu_seqlens, max_seqlen, max_seqlen, scale=scale, num_splits=1)
    return cast(Tensor, attended)
