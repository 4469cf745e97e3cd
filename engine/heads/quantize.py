"""Vectors in smaller numbers, as sentence-transformers' `quantize_embeddings` has them; plain numpy.

- `int8`: round(v / scale), `uint8`: the same plus 128; back by (stored - offset) * scale, at most half a scale off.
  That is `quantize_embeddings` with the ranges from -128.5 to 126.5 scales. Vectors of length 1 have the scale 1 / 127
  whatever else is embedded, so that those of different requests compare; of others the request's greatest number
  decides, and the scale has to be applied before they are compared.
- `binary`, `ubinary`: one bit a dimension, set where v > 0, eight to a byte, the first the highest; the last byte is
  filled with zeros. `binary` is the byte less 128, as a signed one.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.heads.vectors import Vectors
from engine.protocol import OutputType

STEPS = 127
OFFSET = 128
"""Of uint8."""


class Quantized(NamedTuple):
    """Vectors as they are sent."""

    rows: NDArray[np.float32] | NDArray[np.int8] | NDArray[np.uint8]
    scale: float | None = None
    offset: int = 0


def quantize(vectors: Vectors, how: OutputType, *, normalized: bool) -> Quantized:
    """Rows (B, D), or (B, ceil(D / 8)) of the binary types."""
    match how:
        case "float32":
            return Quantized(np.ascontiguousarray(vectors, dtype="<f4"))
        case "ubinary":
            return Quantized(np.packbits(vectors > 0, axis=-1))
        case "binary":
            return Quantized((np.packbits(vectors > 0, axis=-1) ^ OFFSET).view(np.int8))
    greatest = 1.0 if normalized else float(np.abs(vectors).max(initial=0.0)) or 1.0
    scale = greatest / STEPS
    steps = np.clip(np.floor(vectors / np.float32(scale) + np.float32(0.5)), -STEPS, STEPS)
    if how == "int8":
        return Quantized(steps.astype(np.int8), scale)
    return Quantized((steps + OFFSET).astype(np.uint8), scale, OFFSET)
