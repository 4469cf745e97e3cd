"""What every network reads: the tokens of a packed batch, and where its sequences lie.

Tokens of sequence i are rows cu_seqlens[i] to cu_seqlens[i+1]; there is no padding.
"""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring sequences of equal length and sight: `count * length` rows from `start`."""

    start: int
    count: int
    length: int
    unseen: int = 0
    """Tokens at the end of each that attend and are attended to by none."""

    @property
    def seen(self) -> int:
        """Keys of each sequence."""
        return self.length - self.unseen

    @property
    def rows(self) -> slice:
        """Of the packed batch."""
        return slice(self.start, self.start + self.count * self.length)


@dataclass(frozen=True, slots=True)
class Keys:
    """The tokens that are attended to, where those are not all: for kernels that take keys of other lengths."""

    rows: Tensor
    """(K,) int32: which of the batch's."""
    cu_seqlens: Tensor
    """(B + 1,) int32."""
    max_seqlen: int


@dataclass(frozen=True, slots=True)
class Sequences:
    """Where the sequences of a packed batch lie."""

    cu_seqlens: Tensor
    """(B + 1,) int32, on the batch's device."""
    max_seqlen: int
    runs: tuple[Run, ...]
    """All rows, in order; few where the batch is sorted by length."""
    keys: Keys | None = None
    """None: every token is attended to."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a packed batch."""

    ids: Tensor
    """(T,) int32."""
    positions: Tensor
    """(T,) int32, from 0 in every sequence."""
    sequences: Sequences
    types: Tensor | None = None
    """(T,) int32, which segment each token belongs to; None: all to the first."""
