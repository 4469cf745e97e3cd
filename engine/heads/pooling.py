"""From the vectors of tokens to one vector per sequence (sentence-transformers' `Pooling`)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.batch import lie
from engine.encoded import Marks
from engine.heads.part import Part


@dataclass(frozen=True, slots=True)
class Pooled:
    """The tokens that are pooled: those of a part less its prompts'."""

    hidden: Tensor
    """(T, H) float32."""
    bounds: Tensor
    """(B + 1,) int32: where each sequence lies."""
    places: NDArray[np.int64]
    """(T,): the place of each token in its whole sequence, from 1."""


Pooling = Callable[[Pooled], Tensor]
"""(T, H) -> (B, H)."""


def pooled_tokens(part: Part, hidden: Tensor, *, with_prompts: bool) -> Pooled:
    """The tokens of a part that pooling sees; of a sequence that is a prompt only, the last one."""
    bounds = part.bounds
    lengths = np.diff(bounds)
    places = np.arange(1, bounds[-1] + 1) - np.repeat(bounds[:-1], lengths)
    prompts = np.array([0 if with_prompts else _prompt(encoded.marks) for encoded in part.encoded], dtype=np.int64)
    prompts = np.minimum(prompts, lengths - 1)
    if not prompts.any():
        return Pooled(hidden, part.sequences.cu_seqlens, places)
    kept = places > np.repeat(prompts, lengths)
    rows = torch.from_numpy(kept.nonzero()[0]).to(hidden.device)
    _, sequences = lie(lengths - prompts, hidden.device)
    return Pooled(hidden[rows], sequences.cu_seqlens, places[kept])


def _prompt(marks: object) -> int:
    return marks.prompt if isinstance(marks, Marks) else 0


def reduced(how: str, pooled: Pooled) -> Tensor:
    """The mean, sum or greatest of every sequence's tokens, special tokens included."""
    return torch.segment_reduce(pooled.hidden, how, offsets=pooled.bounds, unsafe=True)


def cls(pooled: Pooled) -> Tensor:
    """Every sequence's first token."""
    return pooled.hidden.index_select(0, pooled.bounds[:-1])


def last(pooled: Pooled) -> Tensor:
    """Every sequence's last token."""
    return pooled.hidden.index_select(0, pooled.bounds[1:] - 1)


def mean_by_root(pooled: Pooled) -> Tensor:
    """The sum over the root of the length."""
    return reduced("mean", pooled) * pooled.bounds.diff().sqrt()[:, None]


def weighted_mean(pooled: Pooled) -> Tensor:
    """The mean weighted by the place in the sequence, from 1."""
    weights = torch.from_numpy(pooled.places.astype(np.float32)).to(pooled.hidden.device)[:, None]  # (T, 1)
    both = torch.cat([pooled.hidden * weights, weights], dim=1)
    sums = torch.segment_reduce(both, "sum", offsets=pooled.bounds, unsafe=True)
    return sums[:, :-1] / sums[:, -1:]


POOLINGS: Mapping[str, Pooling] = {
    "cls": cls,
    "max": partial(reduced, "max"),
    "mean": partial(reduced, "mean"),
    "mean_sqrt_len_tokens": mean_by_root,
    "weightedmean": weighted_mean,
    "lasttoken": last,
}
