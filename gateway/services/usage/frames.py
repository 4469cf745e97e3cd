"""How records lie in a file one after another: each in a frame that shows whether it is whole.

A frame is a mark of 2 bytes, the payload's length in 2 and its CRC-32 in 4, all big-endian, then the payload. Zeros
follow the last frame: a file is allocated before it is filled. A reader that meets damage goes on at the next whole
frame, so that one bad sector costs no more than the records in it.
"""

import struct
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple
from zlib import crc32

MARK = b"\xf1\xa5"
HEAD = struct.Struct(">2sHI")
LARGEST = 0xFFFF
"""Bytes of a payload."""


class Scan(NamedTuple):
    """What was found from an offset on."""

    payloads: list[bytes]
    end: int
    """Where the last of them ends; bytes after it are zeros, torn, or not looked at."""
    damaged: int
    """Bytes before `end` that belong to no whole frame."""


def frame(payload: bytes) -> bytes:
    """The payload, framed. Raises ValueError where it is larger than a frame can be."""
    if len(payload) > LARGEST:
        raise ValueError(f"a record of {len(payload)} bytes does not fit into a frame of {LARGEST}")
    return HEAD.pack(MARK, len(payload), crc32(payload)) + payload


def scan(data: bytes, most: int) -> Scan:
    """The first `most` whole frames in `data`."""
    payloads: list[bytes] = []
    end = damaged = 0
    for start, stop in islice(whole_frames(data), most):
        damaged += start - end
        end = stop
        payloads.append(data[start + HEAD.size : stop])
    return Scan(payloads, end, damaged)


def whole_frames(data: bytes) -> Iterator[tuple[int, int]]:
    """Where whole frames start and stop."""
    at = 0
    while at >= 0:
        stop = _stop_of(data, at)
        if stop is None:
            at = data.find(MARK, at + 1)
        else:
            yield at, stop
            at = stop


def _stop_of(data: bytes, at: int) -> int | None:
    body = at + HEAD.size
    if body > len(data):
        return None
    mark, length, checksum = HEAD.unpack_from(data, at)
    stop: int = body + length
    if mark != MARK or stop > len(data) or crc32(memoryview(data)[body:stop]) != checksum:
        return None
    return stop
