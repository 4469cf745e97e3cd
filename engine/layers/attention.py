"""Attention over packed sequences: one signature, three implementations, one chosen when a model is built.

No token sees another sequence, and there is no padding.
"""

import importlib.util
from collections.abc import Callable
from typing import Protocol, cast

import torch
from torch import Tensor
from torch.nn import functional

from engine.layers.tokens import Sequences

SHORT = 128
"""Up to this length plain matrix products beat the CPU's fused kernel, whose cost per head is large (measured)."""
BLOCK = 512
"""Queries of a long sequence that go together where they see a window only, or a bias is added."""

Bias = Callable[[int], Tensor]
"""What is added to the scaled products in a sequence of length L, by how many places the key comes after the query,
from 1 - L to L - 1: (H, 2 L - 1)."""


class Attention(Protocol):
    """softmax(scale * q k^T + bias) v within each sequence; q and the result are (T, H, D), k and v (T, G, D).

    G divides H: queries of H / G neighbouring heads share keys and values. `causal`: no token sees a later one.
    `window`: none sees one that is more than so many places away. `bias` excludes both. Of a sequence with unseen
    tokens only the others are keys.
    """

    def __call__(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        sequences: Sequences,
        scale: float,
        *,
        causal: bool = False,
        window: int | None = None,
        bias: Bias | None = None,
    ) -> Tensor:
        """(T, H, D)."""
        ...


def resolve_attention(device: torch.device, dtype: torch.dtype) -> Attention:
    """The fastest one for a device and type. Variable-length kernels exist for half precision on CUDA only."""
    if device.type == "cuda" and dtype in (torch.bfloat16, torch.float16):
        return _flash_attention if importlib.util.find_spec("flash_attn") else _varlen_attention
    return attend_runs


def attend_runs(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    sequences: Sequences,
    scale: float,
    *,
    causal: bool = False,
    window: int | None = None,
    bias: Bias | None = None,
) -> Tensor:
    """One dense attention per run of equal lengths: (T, H, D)."""
    q = q * scale
    groups = q.shape[1] // k.shape[1]
    out = torch.empty_like(q, memory_format=torch.contiguous_format)  # (T, H, D)
    for run in sequences.runs:
        heads = [x[run.rows].view(run.count, run.length, *x.shape[1:]).transpose(1, 2) for x in (q, k, v)]
        if groups > 1:
            heads[1:] = [x.repeat_interleave(groups, dim=1) for x in heads[1:]]
        near = window if window is not None and window < run.length - 1 else None
        if run.unseen:
            keys, values = (x[:, :, : run.seen] for x in heads[1:])
            addend = _addend(run.length, q, causal=causal, window=near, bias=bias)
            attended = _attend(heads[0], keys, values, addend[..., : run.seen])
            # What sees no key at all, its window being full of unseen tokens, gets nothing, as from torch's own kernel.
            attended.masked_fill_(addend[..., : run.seen].isneginf().all(-1, keepdim=True), 0)
        elif bias is not None:
            attended = _attend_biased(heads[0], heads[1], heads[2], bias(run.length))
        elif near is not None and run.length > BLOCK:
            attended = _attend_window(heads[0], heads[1], heads[2], near, causal=causal)
        elif causal and near is None and run.length > SHORT:
            attended = functional.scaled_dot_product_attention(heads[0], heads[1], heads[2], is_causal=True, scale=1.0)
        else:
            hides = causal or near is not None
            added = _mask(run.length, q, causal=causal, window=near) if hides else None
            attended = _attend(heads[0], heads[1], heads[2], added)
        out[run.rows].view(run.count, run.length, *q.shape[1:]).transpose(1, 2).copy_(attended)
        del attended, heads  # before the next run's are made
    return out


def _addend(length: int, q: Tensor, *, causal: bool, window: int | None, bias: Bias | None) -> Tensor:
    """What is added to the products of every query and key, in one piece: (1 or H, L, L)."""
    if bias is None:
        return _mask(length, q, causal=causal, window=window)[None]
    return bias(length).to(q.dtype).unfold(-1, length, 1).flip(1)


def _attend(q: Tensor, k: Tensor, v: Tensor, added: Tensor | None) -> Tensor:
    """(N, H, L, D), by what is faster."""
    return (_attend_short if q.shape[2] <= SHORT else _attend_long)(q, k, v, added)


def _attend_short(q: Tensor, k: Tensor, v: Tensor, added: Tensor | None) -> Tensor:
    """(N, H, L, D) from batched products over N * H."""
    shape = q.shape
    q, k, v = (x.flatten(0, 1) for x in (q, k, v))  # (N * H, L, D): a view where N is 1
    weights = torch.bmm(q, k.transpose(1, 2))  # (N * H, L, L)
    if added is not None:
        weights.view(*shape[:3], -1).add_(added)
    weights = weights.softmax(-1)
    return torch.bmm(weights, v).view(shape)


def _attend_long(q: Tensor, k: Tensor, v: Tensor, added: Tensor | None) -> Tensor:
    """(N, H, L, D) from the fused kernel, which never holds L x L weights."""
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=added, scale=1.0)


def _attend_window(q: Tensor, k: Tensor, v: Tensor, window: int, *, causal: bool) -> Tensor:
    """(N, H, L, D): blocks of queries, each with the keys that it may see. Linear in L."""
    length = q.shape[2]
    blocks = []
    for start in range(0, length, BLOCK):
        end = min(start + BLOCK, length)
        first, last = max(0, start - window), end if causal else min(length, end + window)
        queries = torch.arange(start, end, device=q.device)[:, None]
        away = queries - torch.arange(first, last, device=q.device)  # (block, seen)
        hidden = (away > window) | ((away < 0) if causal else (away < -window))
        added = torch.zeros(hidden.shape, dtype=q.dtype, device=q.device).masked_fill_(hidden, -torch.inf)
        blocks.append(_attend_long(q[:, :, start:end], k[:, :, first:last], v[:, :, first:last], added))
    return torch.cat(blocks, dim=2)


def _attend_biased(q: Tensor, k: Tensor, v: Tensor, line: Tensor) -> Tensor:
    """(N, H, L, D), the bias of (H, 2 L - 1) laid out for a block of queries at a time."""
    length = q.shape[2]
    rows = line.to(q.dtype).unfold(-1, length, 1)  # (H, L, L), the last query's first: a view
    # Places instead of a flip, whose strides would make the fused kernel copy what it gets.
    order = torch.arange(length - 1, -1, -1, device=q.device)
    if length <= BLOCK:
        return _attend(q, k, v, rows[:, order][None])
    blocks = []
    for start in range(0, length, BLOCK):
        end = min(start + BLOCK, length)
        blocks.append(_attend_long(q[:, :, start:end], k, v, rows[:, order[start:end]][None]))
    return torch.cat(blocks, dim=2)


def _mask(length: int, like: Tensor, *, causal: bool, window: int | None) -> Tensor:
    """(L, L): minus infinity where a query may not see a key, 0 elsewhere."""
    places = torch.arange(length, device=like.device)
    away = places[:, None] - places
    hidden = away < 0 if causal else torch.zeros_like(away, dtype=torch.bool)
    if window is not None:
        hidden = hidden | (away.abs() > window)
    return torch.zeros(length, length, dtype=like.dtype, device=like.device).masked_fill_(hidden, -torch.inf)


def _flash_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    sequences: Sequences,
    scale: float,
    *,
    causal: bool = False,
    window: int | None = None,
    bias: Bias | None = None,
) -> Tensor:
    from flash_attn import flash_attn_varlen_func  # type: ignore[import-not-found]  # noqa: PLC0415 - an extra that only CUDA nodes install

    if bias is not None or _is_misaligned(sequences, causal=causal, window=window):
        return attend_runs(q, k, v, sequences, scale, causal=causal, window=window, bias=bias)
    k, v, cu_seqlens, max_seqlen = _seen(k, v, sequences)
    sides = _sides(causal=causal, window=window)
    return cast(
        Tensor,
        flash_attn_varlen_func(
            q,
            k,
            v,
            sequences.cu_seqlens,
            cu_seqlens,
            sequences.max_seqlen,
            max_seqlen,
            softmax_scale=scale,
            causal=causal,
            window_size=sides,
        ),
    )


def _varlen_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    sequences: Sequences,
    scale: float,
    *,
    causal: bool = False,
    window: int | None = None,
    bias: Bias | None = None,
) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn  # noqa: PLC0415 - not in every build of torch

    if bias is not None or _is_misaligned(sequences, causal=causal, window=window):
        return attend_runs(q, k, v, sequences, scale, causal=causal, window=window, bias=bias)
    k, v, cu_seqlens, max_seqlen = _seen(k, v, sequences)
    # One split makes the sums of a sequence independent of its neighbours.
    attended = varlen_attn(
        q,
        k,
        v,
        sequences.cu_seqlens,
        cu_seqlens,
        sequences.max_seqlen,
        max_seqlen,
        scale=scale,
        window_size=_sides(causal=causal, window=window),
        enable_gqa=q.shape[1] != k.shape[1],
        num_splits=1,
    )
    return cast(Tensor, attended)


def _is_misaligned(sequences: Sequences, *, causal: bool, window: int | None) -> bool:
    """Kernels count places from the end, which is not the same where there are fewer keys than queries."""
    return sequences.keys is not None and (causal or window is not None)


def _seen(k: Tensor, v: Tensor, sequences: Sequences) -> tuple[Tensor, Tensor, Tensor, int]:
    """Keys and values that are attended to, their bounds, and how many a sequence has at most."""
    if (keys := sequences.keys) is None:
        return k, v, sequences.cu_seqlens, sequences.max_seqlen
    return k.index_select(0, keys.rows), v.index_select(0, keys.rows), keys.cu_seqlens, keys.max_seqlen


def _sides(*, causal: bool, window: int | None) -> tuple[int, int]:
    """How far a token sees to its left and right; -1 is without bound."""
    far = -1 if window is None else window
    return far, 0 if causal else far
