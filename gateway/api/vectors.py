"""Vectors from a node's bytes to what JSON can say: numbers, or base64 of them, without loss."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from gateway.engine_client import EmbedReply, OutputType, SparseVector

CODES: Mapping[OutputType, Literal["f", "b", "B"]] = {
    "float32": "f", "int8": "b", "uint8": "B", "binary": "b", "ubinary": "B",
}  # fmt: skip
"""How `struct` calls the numbers."""
BITS = ("binary", "ubinary")


def numbers(reply: EmbedReply, kind: OutputType) -> list[list[Any]]:
    """A list of numbers for each input; none where the node was not asked for dense vectors."""
    flat = memoryview(reply.vectors).cast(CODES[kind]).tolist()
    width = -(-reply.dimensions // 8) if kind in BITS else reply.dimensions
    return [flat[start : start + width] for start in range(0, len(flat), width)]


def packed(reply: EmbedReply, kind: OutputType) -> Sequence[memoryview]:
    """The same as bytes, of which msgspec makes base64."""
    whole = memoryview(reply.vectors)
    size = -(-reply.dimensions // 8) if kind in BITS else reply.dimensions * (4 if kind == "float32" else 1)
    return [whole[start : start + size] for start in range(0, len(whole), size)]


def sparse_numbers(vector: SparseVector) -> tuple[list[int], list[float]]:
    """Indices, and the value of each."""
    return memoryview(vector.indices).cast("i").tolist(), _floats(vector.values)


def rows(many: bytes, width: int) -> list[list[float]]:
    """The vectors of one input's tokens."""
    flat = _floats(many)
    return [flat[start : start + width] for start in range(0, len(flat), width)]


def _floats(data: bytes) -> list[float]:
    flat: list[Any] = memoryview(data).cast("f").tolist()  # mypy takes the numbers for whole ones
    return flat
