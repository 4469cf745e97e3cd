"""The contract between scheduler and models: sequences of any lengths packed into one row of tokens, nothing padded."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.layers.attention import Run, Sequences

TokenIds = NDArray[np.int32]
"""One tokenized input: (L,), L at least 1."""


@dataclass(frozen=True, slots=True)
class PackedBatch:
    """What a forward pass reads."""

    input_ids: Tensor
    """(T,) int32."""
    positions: Tensor
    """(T,) int32, from 0 in every sequence."""
    sequences: Sequences
    order: NDArray[np.intp]
    """(B,): the place that each packed sequence had in the list it came from."""


def pack(token_ids: Sequence[TokenIds], device: torch.device) -> PackedBatch:
    """Pack sequences, shortest first, so that equal lengths are neighbours; equal lengths keep their order."""
    lengths = np.fromiter(map(len, token_ids), dtype=np.int64, count=len(token_ids))
    order = np.argsort(lengths, kind="stable")
    lengths = lengths[order]
    starts = np.zeros(len(lengths) + 1, dtype=np.int32)
    np.cumsum(lengths, out=starts[1:])
    input_ids = np.concatenate([token_ids[place] for place in order])
    positions = np.arange(starts[-1], dtype=np.int32) - np.repeat(starts[:-1], lengths)
    return PackedBatch(
        input_ids=_to_device(input_ids, device),
        positions=_to_device(positions, device),
        sequences=Sequences(_to_device(starts, device), int(lengths[-1]), _runs(lengths.tolist())),
        order=order,
    )


def _runs(lengths: Sequence[int]) -> tuple[Run, ...]:
    """Runs of equal neighbours of a sorted list of lengths."""
    runs = []
    start = 0
    for length, equals in groupby(lengths):
        runs.append(Run(start, sum(1 for _ in equals), length))
        start += runs[-1].count * length
    return tuple(runs)


def _to_device(array: NDArray[np.int32], device: torch.device) -> Tensor:
    tensor = torch.from_numpy(array)
    if device.type == "cpu":
        return tensor
    # From pinned memory the copy runs beside the batch before it.
    return tensor.pin_memory().to(device, non_blocking=True)
