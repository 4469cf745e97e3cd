"""A text's vector against a label's, pair by pair: the scorers of GLiClass (`gliclass/scorers.py`)."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from engine.layers.activation import activation

MLP_WIDTH = 256
"""Of the scorer `mlp`, whatever the config says of it."""


class Projector(nn.Module):
    """down(activation(up(x)))."""

    def __init__(self, width: int, name: str) -> None:
        super().__init__()
        self.up = nn.Linear(width, width)
        self.down = nn.Linear(width, width)
        self._activation = activation(name)

    def forward(self, x: Tensor) -> Tensor:
        """(N, H) -> (N, H)."""
        out: Tensor = self.down(self._activation(self.up(x)))
        return out


class Dot(nn.Module):
    """Their product (`simple`)."""

    def forward(self, texts: Tensor, labels: Tensor) -> Tensor:
        """(N, H) and (N, H) -> (N,)."""
        return (texts * labels).sum(1)


class WeightedDot(nn.Module):
    """A small network over both and over a product of them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.text = nn.Linear(width, 2 * width)
        self.label = nn.Linear(width, 2 * width)
        self.up = nn.Linear(3 * width, 4 * width)
        self.down = nn.Linear(4 * width, 1)

    def forward(self, texts: Tensor, labels: Tensor) -> Tensor:
        """(N, H) and (N, H) -> (N,)."""
        (text, by_text), (label, by_label) = self.text(texts).chunk(2, 1), self.label(labels).chunk(2, 1)
        out: Tensor = self.down(self.up(torch.cat([text, label, by_text * by_label], dim=1)).relu_())
        return out[:, 0]


class Layers(nn.Module):
    """A small network over both (`mlp`)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(2 * width, MLP_WIDTH)
        self.second = nn.Linear(MLP_WIDTH, MLP_WIDTH // 2)
        self.third = nn.Linear(MLP_WIDTH // 2, 1)

    def forward(self, texts: Tensor, labels: Tensor) -> Tensor:
        """(N, H) and (N, H) -> (N,)."""
        x = self.first(torch.cat([texts, labels], dim=1)).relu_()
        out: Tensor = self.third(self.second(x).relu_())
        return out[:, 0]


SCORERS: Mapping[str, Callable[[int], nn.Module]] = {
    "simple": lambda width: Dot(),  # noqa: ARG005
    "weighted-dot": WeightedDot,
    "mlp": Layers,
}
"""By `scorer_type`, of a width."""
