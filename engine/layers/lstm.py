"""A bidirectional LSTM over packed sequences (torch's `LSTM`), whose weights may lie in a buffer of the model's."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

GATES = 4


class Lstm(nn.Module):
    """Each direction gives half of the width; parameters are named as torch names them."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.layers, self.each = layers, width // 2
        self.names = tuple(
            f"{kind}_l{layer}{direction}"
            for layer in range(layers)
            for direction in ("", "_reverse")
            for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        for name in self.names:
            shape: tuple[int, ...] = (GATES * self.each,)
            if name.startswith("weight"):
                into = self.each if "_hh_" in name else width if "_l0" in name else 2 * self.each
                shape = (*shape, into)
            self.register_parameter(name, nn.Parameter(torch.empty(shape), requires_grad=False))

    def forward(self, x: Tensor, lengths: NDArray[np.int64]) -> Tensor:
        """(T, W) in sequences of these lengths, at least one each -> (T, W)."""
        rows, together = _by_step(lengths)
        order = torch.from_numpy(rows).to(x.device)
        state = x.new_zeros(2 * self.layers, len(lengths), self.each)
        parameters: list[Tensor] = [self.get_parameter(name) for name in self.names]
        steps, _, _ = torch.lstm(
            x[order], torch.from_numpy(together), (state, state), parameters, True, self.layers, 0.0, False, True
        )
        return torch.empty_like(steps).index_copy_(0, order, steps)


def _by_step(lengths: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows of sequences step by step, the longest sequence first in each: (T,), and how many each step has."""
    rank = np.empty(len(lengths), dtype=np.int64)
    rank[np.argsort(-lengths, kind="stable")] = np.arange(len(lengths))
    steps = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return np.lexsort((np.repeat(rank, lengths), steps)), np.bincount(steps).astype(np.int64)
