"""One small random checkpoint of a family, and what its reference says of a text."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from engine.encoded import Encoded

Hidden = NDArray[np.float32]
"""(L, H); of a head what it says, one row for each thing."""

LENGTHS = (3, 7, 3, 1, 30, 12, 7, 7, 2)
"""Tokens of the sequences that a case is tried on, where it does not say others."""


class Reference(Protocol):
    """What a family is compared with, over the same weights."""

    def __call__(self, encoded: Sequence[Encoded]) -> list[Hidden]:
        """Each sequence's hidden states, from a pass of its own without padding."""
        ...

    def padded(self, encoded: Sequence[Encoded]) -> None:
        """One pass over all of them, padded to the longest, as the reference library does it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One shape of one family."""

    family: str
    """As in `engine.architectures`."""
    variant: str
    """What is special about it."""
    oracle: str
    """What it is compared with."""
    write: Callable[[Path], Reference]
    """Writes a whole model folder and gives the reference over its weights."""
    wide: Callable[[Path], Reference] | None = None
    """The same in a shape of realistic width, for speed; one case of a family has it."""
    lengths: tuple[int, ...] = LENGTHS
    types: bool = False
    """Tokens have types: some sequences have a second segment."""
    output: str | None = None
    """The head's that is looked at; None: it is the body."""
    read: Callable[[Path, Sequence[int], int], list[Encoded]] | None = None
    """Texts of so many words as the head's model reads them, from its folder and a seed; None: random ids will do."""

    @property
    def name(self) -> str:
        """Unlike any other case's."""
        return f"{self.family}: {self.variant}"

    def sequences(self, seed: int = 0) -> list[Encoded]:
        """Random ids above the special ones, a sequence for each length."""
        return sequences(self.lengths, VOCABULARY, types=self.types, seed=seed)


VOCABULARY = 100
"""Tokens of small checkpoints."""


def sequences(lengths: Iterable[int], vocabulary: int, *, types: bool = False, seed: int = 0) -> list[Encoded]:
    """A sequence of random ids for each length; with `types` the second half of every other one is of type 1."""
    generator = np.random.default_rng(seed)
    encoded = []
    for place, length in enumerate(lengths):
        ids = generator.integers(5, vocabulary, length, dtype=np.int32)
        second = (np.arange(length) >= length // 2).astype(np.int32) if types and place % 2 == 0 else None
        encoded.append(Encoded(ids, second))
    return encoded


@torch.no_grad()
def randomise(
    parameters: Mapping[str, torch.Tensor], *, spread: float = 0.2, norms: float = 1.0, seed: int = 0
) -> None:
    """Weights and biases around 0, norms' weights around `norms`, so wide that what is left out or swapped shows."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in parameters.items():
        scales = parameter.ndim == 1 and name.endswith("weight")
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread + norms * scales)
