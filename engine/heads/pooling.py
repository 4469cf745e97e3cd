"""From the vectors of tokens to one vector per sequence."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from engine.layers.tokens import Sequences

Pooling = Callable[[Tensor, Sequences], Tensor]
"""(T, H) -> (B, H)."""


def mean(hidden: Tensor, sequences: Sequences) -> Tensor:
    """The mean of every sequence's tokens, special tokens included: (T, H) -> (B, H)."""
    return torch.segment_reduce(hidden, "mean", offsets=sequences.cu_seqlens, unsafe=True)


def cls(hidden: Tensor, sequences: Sequences) -> Tensor:
    """Every sequence's first token: (T, H) -> (B, H)."""
    return hidden.index_select(0, sequences.cu_seqlens[:-1])


POOLINGS: Mapping[str, Pooling] = {"mean": mean, "cls": cls}
