"""What upstreams reply, held against what they were asked: every input answered once, in order, by finite numbers."""

import base64
import binascii
import math
from array import array
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from gateway.errors import EngineFailed, RequestError

Reply = TypeVar("Reply")


def decoded(decode: Callable[[bytes], Reply], body: bytes) -> Reply:
    """A reply by its decoder. Raises EngineFailed."""
    try:
        return decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise wrong(f"is not what was asked for: {error}") from error


def in_order(indices: Sequence[int | None], count: int) -> list[int]:
    """Where each input's answer stands. Raises EngineFailed unless each has just one."""
    if all(index is None for index in indices) and len(indices) == count:
        return list(range(count))
    places = {index: place for place, index in enumerate(indices)}
    if len(indices) != count or places.keys() != set(range(count)):
        raise wrong(f"answers {len(indices)} inputs of {count}, or one twice")
    return [places[index] for index in range(count)]


def packed(vectors: Sequence[str | list[float]], dimensions: int | None) -> tuple[bytes, int]:
    """Vectors, whether base64 or lists of numbers, as one run of float32, and their width.

    Raises EngineFailed where they are not vectors of one width, RequestError where that is not the one asked for.
    """
    rows = [_row(vector) for vector in vectors]
    width = len(rows[0]) if rows else 0
    if not width or any(len(row) != width for row in rows):
        raise wrong("has vectors of different widths, or empty ones")
    if dimensions is not None and width != dimensions:
        raise RequestError("This model does not support specifying dimensions.", param="dimensions")
    return b"".join(row.tobytes() for row in rows), width


def finite(numbers: Sequence[float]) -> Sequence[float]:
    """The numbers, if all of them are; a sum is as finite as what it is made of."""
    if not math.isfinite(sum(numbers)):
        raise wrong("has numbers that are not finite")
    return numbers


def wrong(what: str) -> EngineFailed:
    """The upstream's reply can not be used; `what` is for operators."""
    return EngineFailed(f"An upstream's reply {what}.")


def _row(vector: str | list[float]) -> "array[float]":
    row = array("f")
    try:
        if isinstance(vector, str):
            row.frombytes(base64.b64decode(vector, validate=True))
        else:
            row.extend(vector)
    except (binascii.Error, ValueError, OverflowError) as error:
        raise wrong("has a vector that is none") from error
    finite(row)
    return row
