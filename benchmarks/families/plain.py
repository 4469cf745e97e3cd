"""References for what runs elsewhere by remote code only: plain implementations, written apart from the engine's.

One sequence at a time, attention by its definition, weights by the names that the hub's checkpoints give them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.families.case import LENGTHS, Case, Hidden, Reference, randomise
from benchmarks.families.folder import write_folder
from engine.encoded import Encoded

Activation = Callable[[Tensor], Tensor]

ORACLE = "plain implementation (elsewhere remote code only)"


class Weights:
    """Tensors by name, and what is done with them."""

    def __init__(self, tensors: Mapping[str, Tensor], eps: float) -> None:
        self.tensors = tensors
        self._eps = eps

    def __getitem__(self, name: str) -> Tensor:
        """One of them."""
        return self.tensors[name]

    def linear(self, name: str, x: Tensor) -> Tensor:
        """With its bias, where it has one."""
        return functional.linear(x, self[f"{name}.weight"], self.tensors.get(f"{name}.bias"))

    def norm(self, name: str, x: Tensor) -> Tensor:
        """LayerNorm, by its definition."""
        centred = x - x.mean(-1, keepdim=True)
        scaled: Tensor = centred / (centred.pow(2).mean(-1, keepdim=True) + self._eps).sqrt()
        return scaled * self[f"{name}.weight"] + self[f"{name}.bias"]

    def embedded(self, ids: Tensor, types: Tensor) -> Tensor:
        """Words and types, under BERT's names: (L, H)."""
        x = self["embeddings.word_embeddings.weight"][ids]
        return x + self["embeddings.token_type_embeddings.weight"][types]


def attention(q: Tensor, k: Tensor, v: Tensor, heads: int, added: Tensor | float = 0.0) -> Tensor:
    """Softmax of the scaled products, `added` to them: (L, H)."""
    q, k, v = (x.view(len(x), heads, -1).transpose(0, 1) for x in (q, k, v))  # (heads, L, D)
    scores = q @ k.transpose(1, 2) / q.shape[-1] ** 0.5 + added
    weighted: Tensor = scores.softmax(-1) @ v
    return weighted.transpose(0, 1).flatten(1)


Network = Callable[[Weights, Mapping[str, Any], Tensor, Tensor], Tensor]
"""Weights, config, ids (L,), types (L,) -> hidden states (L, H)."""


@dataclass(frozen=True)
class PlainReference:
    """A network over its weights."""

    network: Network
    weights: Weights
    config: Mapping[str, Any]

    @torch.no_grad()
    def __call__(self, encoded: Sequence[Encoded]) -> list[Hidden]:
        """One pass for each sequence."""
        return [self._hidden(sequence).numpy() for sequence in encoded]

    def padded(self, encoded: Sequence[Encoded]) -> None:
        """There is no library to measure."""
        raise NotImplementedError

    def _hidden(self, sequence: Encoded) -> Tensor:
        ids = torch.from_numpy(sequence.ids).long()
        types = torch.zeros_like(ids) if sequence.types is None else torch.from_numpy(sequence.types).long()
        return self.network(self.weights, self.config, ids, types)


def plain_case(
    family: str,
    variant: str,
    network: Network,
    shapes: Callable[[Mapping[str, Any]], Mapping[str, tuple[int, ...]]],
    config: Mapping[str, Any],
    *,
    lengths: tuple[int, ...] = LENGTHS,
    types: bool = False,
) -> Case:
    """A case with random weights of the shapes that a config asks for."""

    def write(folder: Path) -> Reference:
        tensors = {name: torch.empty(shape) for name, shape in shapes(config).items()}
        randomise(tensors)
        write_folder(folder, config, tensors)
        eps = config.get("layer_norm_eps") or config["layer_norm_epsilon"]
        return PlainReference(network, Weights(tensors, eps), config)

    return Case(family=family, variant=variant, oracle=ORACLE, write=write, lengths=lengths, types=types)
