"""The lines of an input, from any place in it, and the stretches of lines that are worked on together."""

from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple

import msgspec

from gateway.services.bulk.breathing import Breather
from gateway.services.bulk.held import Place

STRETCH_LINES = 256
STRETCH_BYTES = 2 * 1024 * 1024
"""One step of a batch: so many lines or so many bytes of them, whichever comes first."""
AT_ONCE = 64
"""Lines that are found without a breath."""


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


async def stretches(content: AsyncIterator[bytes], start: Place, longest: int | None) -> AsyncIterator[Stretch]:
    """The lines of an input from `start` on, which `content` begins at.

    Raises LineTooLong, unless `longest` is None: then somebody has looked through them before.
    """
    lines: list[Line] = []
    size = 0
    place = start
    breather = Breather()
    rest = bytearray()
    async for piece in content:
        breather.begin()
        for number, raw in enumerate(_raw_lines(rest, piece)):
            if longest is not None and len(raw) > longest:
                raise LineTooLong
            place, text = _read(place, raw)
            if text:
                lines.append(Line(place.line, text))
                size += len(text)
            if len(lines) >= STRETCH_LINES or size >= STRETCH_BYTES:
                yield Stretch(lines, place)
                lines, size = [], 0
                breather.begin()
            elif number % AT_ONCE == 0:  # a file may consist of line ends alone
                await breather.breathe()
        if longest is not None and len(rest) > longest:
            raise LineTooLong
    if rest:
        place, text = _read(place, bytes(rest))
        lines += [Line(place.line, text)] if text else []
    if lines:
        yield Stretch(lines, place)


def _read(place: Place, raw: bytes) -> tuple[Place, bytes]:
    """The place behind a line that begins there, and what it says."""
    text = raw.strip()
    if place.line == 0:
        text = text.removeprefix(b"\xef\xbb\xbf")
    return Place(place.line + 1, place.position + len(raw)), text


def _raw_lines(rest: bytearray, piece: bytes) -> Iterator[bytes]:
    """Lines that end in `piece`, with their ends, by line feeds alone; `rest` begins the first, and keeps the last."""
    start = 0
    while end := piece.find(b"\n", start) + 1:
        yield bytes(rest) + piece[start:end] if rest else piece[start:end]
        rest.clear()
        start = end
    rest += piece[start:]
