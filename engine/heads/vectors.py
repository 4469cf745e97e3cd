"""What is done to finished vectors: unit length, Matryoshka width, cosine. Plain numpy, float32, one vector per row."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from engine.encoded import Row

Vectors = NDArray[np.float32]
"""(B, H) float32."""

SMALLEST_NORM = 1e-12
"""As torch's normalize: a zero vector stays zero."""


def stacked(rows: Iterable[Row]) -> Vectors:
    """The dense vectors of rows: (B, H)."""
    return np.stack([row["dense"] for row in rows])


def normalize(vectors: Vectors) -> Vectors:
    """Scale every row to length 1: (B, H)."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, SMALLEST_NORM), dtype=np.float32)


def narrow(vectors: Vectors, dimensions: int, *, renormalize: bool) -> Vectors:
    """Cut every row to its first `dimensions` numbers, and to length 1 again if it had that before: (B, dimensions)."""
    if dimensions == vectors.shape[1]:
        return vectors
    cut = vectors[:, :dimensions]
    return normalize(cut) if renormalize else np.ascontiguousarray(cut)


def cosine(query: Vectors, documents: Vectors) -> NDArray[np.float32]:
    """Cosine of one query (1, H) with every document (B, H): (B,)."""
    return np.asarray(normalize(documents) @ normalize(query)[0], dtype=np.float32)
