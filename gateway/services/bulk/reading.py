"""The lines of an input, from any place in it, and the stretches of lines that are worked on together."""

from collections.abc import AsyncIterator
from typing import NamedTuple

import msgspec

from gateway.services.bulk.held import Place

STRETCH_LINES = 256
STRETCH_BYTES = 2 * 1024 * 1024
"""One step of a batch: so many lines or so many bytes of them, whichever comes first."""


class LineTooLong(Exception):
    """A line is longer than any request may be."""


class Line(NamedTuple):
    """One line that is not empty."""

    number: int
    """From 1."""
    content: bytes


class BatchLine(msgspec.Struct, frozen=True):
    """What a line says."""

    custom_id: str
    method: str
    url: str
    body: msgspec.Raw


class Stretch(NamedTuple):
    """Lines that follow each other, and the place behind them."""

    lines: list[Line]
    end: Place


async def stretches(content: AsyncIterator[bytes], start: Place, longest: int) -> AsyncIterator[Stretch]:
    """The lines of an input from `start` on, which `content` begins at. Raises LineTooLong."""
    lines: list[Line] = []
    size = 0
    place = start
    async for raw in _raw_lines(content, longest):
        place = Place(place.line + 1, place.position + len(raw))
        text = raw.strip()
        if place.line == 1:
            text = text.removeprefix(b"\xef\xbb\xbf")
        if text:
            lines.append(Line(place.line, text))
            size += len(text)
        if len(lines) >= STRETCH_LINES or size >= STRETCH_BYTES:
            yield Stretch(lines, place)
            lines, size = [], 0
    if lines:
        yield Stretch(lines, place)


async def _raw_lines(content: AsyncIterator[bytes], longest: int) -> AsyncIterator[bytes]:
    """Lines with their ends."""
    rest = b""
    async for piece in content:
        found = _split(rest + piece)
        rest = found.pop()
        for raw in found:
            if len(raw) > longest:
                raise LineTooLong
            yield raw
        if len(rest) > longest:
            raise LineTooLong
    if rest:
        yield rest


def _split(text: bytes) -> list[bytes]:
    """By line feeds alone, which stay with their lines; what follows the last one comes last."""
    *lines, rest = text.split(b"\n")
    return [*(line + b"\n" for line in lines), rest]
