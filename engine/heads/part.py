"""What a head sees of a batch: the sequences that ask for its output."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.batch import PackedBatch, lie
from engine.encoded import Encoded
from engine.layers.tokens import Sequences


@dataclass(frozen=True, slots=True)
class Part:
    """Some sequences of a batch, packed."""

    hidden: Tensor
    """(T, H), in the network's type."""
    ids: Tensor
    """(T,) int32."""
    sequences: Sequences
    encoded: tuple[Encoded, ...]
    places: NDArray[np.intp]
    """(B,): the place of each sequence in the list that the batch came from."""

    @property
    def bounds(self) -> NDArray[np.int64]:
        """(B + 1,): as `sequences.cu_seqlens`, without asking the device."""
        return np.cumsum([0, *map(len, self.encoded)], dtype=np.int64)


class Head(nn.Module):
    """Maps a part to one result per sequence of it, on the host. What it asks of the body is the body's own weights."""

    def forward(self, part: Part, body: nn.Module) -> Sequence[object]:
        """(T, H) -> B results."""
        raise NotImplementedError


def asking(batch: PackedBatch, hidden: Tensor, output: str) -> Part | None:
    """The sequences of a batch that ask for an output; None where none does."""
    wanted = [place for place, encoded in enumerate(batch.encoded) if output in encoded.outputs]
    if not wanted:
        return None
    tokens = batch.tokens
    if len(wanted) == len(batch.encoded):
        return Part(hidden, tokens.ids, tokens.sequences, batch.encoded, batch.order)
    encoded = tuple([batch.encoded[place] for place in wanted])
    every = np.cumsum([0, *map(len, batch.encoded)])
    rows = torch.from_numpy(np.concatenate([np.arange(every[place], every[place + 1]) for place in wanted]))
    rows = rows.to(hidden.device)
    _, sequences = lie(np.fromiter(map(len, encoded), dtype=np.int64, count=len(encoded)), hidden.device)
    return Part(hidden[rows], tokens.ids[rows], sequences, encoded, batch.order[wanted])
