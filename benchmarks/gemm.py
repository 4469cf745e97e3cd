"""The device's own limit: how many tokens a second the matrix products of a BERT alone would allow.

Attention, embeddings, layer norms, the tokenizer and the wire come on top in a real model; none of them is in here.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn.functional import linear

Product = Callable[[torch.Tensor], torch.Tensor]
MAKERS = ("F.linear", "oneDNN, weights packed beforehand")


@dataclass(frozen=True, slots=True)
class Shapes:
    """What decides the products of one token."""

    layers: int
    hidden: int
    intermediate: int

    @classmethod
    def of(cls, folder: Path) -> "Shapes":
        """Read a model folder's config.json."""
        config = json.loads((folder / "config.json").read_text())
        return cls(config["num_hidden_layers"], config["hidden_size"], config["intermediate_size"])

    @property
    def products(self) -> list[tuple[int, int]]:
        """(out, in) of each product of one layer: query, key and value at once, output, up, down."""
        hidden, wide = self.hidden, self.intermediate
        return [(3 * hidden, hidden), (hidden, hidden), (wide, hidden), (hidden, wide)]

    @property
    def flops_per_token(self) -> int:
        """Two for each multiply-add."""
        return 2 * self.layers * sum(out * into for out, into in self.products)


class Gemms:
    """The products of all layers, each with weights of its own, on `rows` tokens at a time."""

    def __init__(self, shapes: Shapes, rows: int, maker: str) -> None:
        self._rows = rows
        self._inputs = {into: torch.randn(rows, into) for _, into in shapes.products}
        self._products = [
            (into, _product(torch.randn(out, into), torch.randn(out), rows, maker))
            for _ in range(shapes.layers)
            for out, into in shapes.products
        ]

    def tokens_per_second(self, seconds: float) -> float:
        """Measured over about `seconds`, after one pass to warm up."""
        self._pass()
        passes, began = 0, time.perf_counter()
        while (passed := time.perf_counter() - began) < seconds:
            self._pass()
            passes += 1
        return passes * self._rows / passed

    @torch.inference_mode()
    def _pass(self) -> None:
        for into, product in self._products:
            product(self._inputs[into])


def _product(weight: torch.Tensor, bias: torch.Tensor, rows: int, maker: str) -> Product:
    if maker == "F.linear":
        return lambda inputs: linear(inputs, weight, bias)
    packed = torch.ops.mkldnn._reorder_linear_weight(weight, rows)  # noqa: SLF001  torch has no public name for it
    pointwise = torch.ops.mkldnn._linear_pointwise  # noqa: SLF001
    return lambda inputs: pointwise(inputs, packed, bias, "none", [], "")
