"""One tokenized input on its way through the node; free of torch."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

TokenIds = NDArray[np.int32]
"""(L,), L at least 1."""

Row = dict[str, Any]
"""What a model says of one sequence, by output: `dense` is a vector (H,) float32; each head states its own."""

DENSE = ("dense",)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Marks:
    """What the heads of embedding models must know of a text beside its tokens."""

    prompt: int = 0
    """Tokens from the beginning that pooling leaves out."""
    words: NDArray[np.bool_] | None = None
    """(L,): the tokens that have weights in a sparse vector; None: all."""
    kept: NDArray[np.bool_] | None = None
    """(L,): the tokens that have a vector among many; None: all."""


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """A sequence, and what is asked of it."""

    ids: TokenIds
    types: TokenIds | None = None
    """(L,): the segment of each token; None: all of the first."""
    outputs: tuple[str, ...] = DENSE
    """The heads that shall look at it; at least one."""
    unseen: int = 0
    """Of its last tokens, so many see the others and are seen by none, themselves included."""
    marks: Any = None
    """What its heads must know of it beside its tokens: which belong to words, labels or markers."""
    adapter: Any = None
    """A `LoadedAdapter` that changes the model for it; None: the model as it is."""

    def __len__(self) -> int:
        """Tokens."""
        return len(self.ids)
