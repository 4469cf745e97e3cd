"""Weights of a text's own tokens, the greatest where a token comes twice: the sparse output of BGE-M3."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.configs.head_spec import HeadSpec
from engine.encoded import Encoded, Marks
from engine.heads.part import Head, Part
from engine.weights import KeyMap

Sparse = tuple[NDArray[np.int32], NDArray[np.float32]]
"""Indices (N,), ascending, and their values (N,)."""


class TokenWeightsHead(Head):
    """relu(x w + b) of every token."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.linear = nn.Linear(int(config["hidden_size"]), 1)

    def forward(self, part: Part, body: nn.Module) -> Sequence[object]:  # noqa: ARG002 - a head's signature
        """(T, H) -> B sparse vectors over token ids."""
        weights: Tensor = self.linear(part.hidden).float().relu()[:, 0]  # (T,)
        row = weights.to("cpu", torch.float32).numpy()
        texts = zip(part.encoded, pairwise(part.bounds.tolist()), strict=True)
        return [_by_token(encoded, row[start:end]) for encoded, (start, end) in texts]


def token_weights_keys(spec: HeadSpec) -> KeyMap:
    """Of the file that holds the projection alone."""
    return KeyMap(renames=((spec.settings["path"], ""),))


def _by_token(encoded: Encoded, weights: NDArray[np.float32]) -> Sparse:
    words = encoded.marks.words if isinstance(encoded.marks, Marks) else None
    counted = weights > 0 if words is None else words & (weights > 0)
    indices, places = np.unique(encoded.ids[counted], return_inverse=True)
    values = np.zeros(len(indices), dtype=np.float32)
    np.maximum.at(values, places, weights[counted])
    return indices.astype(np.int32), values
