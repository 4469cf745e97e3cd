"""The contract between scheduler and models: sequences of any lengths packed into one row of tokens, nothing padded."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray

from engine.encoded import Encoded, TokenIds
from engine.layers.tokens import Keys, Run, Sequences, Tokens


@dataclass(frozen=True, slots=True)
class PackedBatch:
    """What a forward pass reads."""

    tokens: Tokens
    encoded: tuple[Encoded, ...]
    """In packed order."""
    order: NDArray[np.intp]
    """(B,): the place that each packed sequence had in the list it came from."""

    def __len__(self) -> int:
        """Tokens."""
        return len(self.tokens.ids)


def pack(encoded: Sequence[Encoded], device: torch.device) -> PackedBatch:
    """Pack sequences, shortest first, so that equal lengths are neighbours; equal lengths keep their order."""
    lengths = np.fromiter(map(len, encoded), dtype=np.int64, count=len(encoded))
    unseen = np.fromiter((sequence.unseen for sequence in encoded), dtype=np.int64, count=len(encoded))
    order = np.lexsort((unseen, lengths))
    lengths = lengths[order]
    packed = tuple([encoded[place] for place in order])
    ids = np.concatenate([sequence.ids for sequence in packed])
    types = None
    if any(sequence.types is not None for sequence in packed):
        types = _to_device(np.concatenate([_types(sequence) for sequence in packed]), device)
    starts, sequences = lie(lengths, device, unseen[order])
    positions = np.arange(starts[-1], dtype=np.int32) - np.repeat(starts[:-1], lengths)
    tokens = Tokens(_to_device(ids, device), _to_device(positions, device), sequences, types)
    return PackedBatch(tokens, packed, order)


def lie(
    lengths: NDArray[np.int64], device: torch.device, unseen: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.int32], Sequences]:
    """Where sequences of these lengths, in this order, lie: their bounds (B + 1,), here and on the device."""
    starts = _bounds(lengths)
    unseen = np.zeros_like(lengths) if unseen is None else unseen
    keys = _keys(starts, lengths - unseen, device) if unseen.any() else None
    runs = _runs(list(zip(lengths.tolist(), unseen.tolist(), strict=True)))
    return starts, Sequences(_to_device(starts, device), int(lengths.max()), runs, keys)


def _bounds(lengths: NDArray[np.int64]) -> NDArray[np.int32]:
    bounds = np.zeros(len(lengths) + 1, dtype=np.int32)
    np.cumsum(lengths, out=bounds[1:])
    return bounds


def _keys(starts: NDArray[np.int32], seen: NDArray[np.int64], device: torch.device) -> Keys:
    """The first `seen` tokens of every sequence."""
    bounds = _bounds(seen)
    rows = np.arange(bounds[-1], dtype=np.int32) + np.repeat(starts[:-1] - bounds[:-1], seen)
    return Keys(_to_device(rows, device), _to_device(bounds, device), int(seen.max()))


def _types(sequence: Encoded) -> TokenIds:
    return np.zeros(len(sequence), dtype=np.int32) if sequence.types is None else sequence.types


def _runs(shapes: Sequence[tuple[int, int]]) -> tuple[Run, ...]:
    """Runs of neighbours of equal length and unseen tokens."""
    runs = []
    start = 0
    for (length, unseen), equals in groupby(shapes):
        runs.append(Run(start, sum(1 for _ in equals), length, unseen))
        start += runs[-1].count * length
    return tuple(runs)


def _to_device(array: NDArray[np.int32], device: torch.device) -> torch.Tensor:
    tensor = torch.from_numpy(array)
    if device.type == "cpu":
        return tensor
    # From pinned memory the copy runs beside the batch before it.
    return tensor.pin_memory().to(device, non_blocking=True)
