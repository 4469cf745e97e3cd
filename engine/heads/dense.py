"""One vector per text: pooled, through the model's Dense modules, to unit length where the model says so."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from engine.head_spec import HeadSpec
from engine.heads.part import Head, Part
from engine.heads.pooling import POOLINGS
from engine.heads.vectors import Vectors, normalize


class DenseHead(Head):
    """Pooling in float32, then what follows it."""

    def __init__(self, spec: HeadSpec) -> None:
        super().__init__()
        self._pooling = POOLINGS[spec.settings["pooling"]]
        self._normalize = bool(spec.settings["normalize"])

    def forward(self, part: Part, body: nn.Module) -> Sequence[object]:  # noqa: ARG002 - a head's signature
        """(T, H) -> B vectors (H,) float32."""
        pooled: Tensor = self._pooling(part.hidden.float(), part.sequences)  # (B, H)
        vectors: Vectors = pooled.to("cpu", torch.float32).numpy()
        return list(normalize(vectors) if self._normalize else vectors)
