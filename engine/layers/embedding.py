"""The table look-up of every family, left unset until its weights are loaded.

Torch's own draws random numbers when it is built, which imports the compiler (1.5 s) where no memory is given yet.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Embedding(nn.Module):
    """(T,) ids -> (T, H)."""

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(rows, width), requires_grad=False)

    def forward(self, ids: Tensor) -> Tensor:
        """(T,) -> (T, H)."""
        return functional.embedding(ids, self.weight)


class TypeEmbedding(Embedding):
    """Of each token's type: (T, H), or (H,) where all are of the first; a table of one row knows no other."""

    def forward(self, types: Tensor | None) -> Tensor:
        """(T,) or None -> (T, H) or (H,)."""
        if types is None or self.weight.shape[0] == 1:
            return self.weight[0]
        return super().forward(types)
