"""Charts as geometry: values in, places out; templates/components/charts.html draws them. Pure.

Columns are placed in per cent of the drawing, so that patterns keep their size; lines in a box of 1000 by 100 that is
stretched. Kinds are told apart by pattern, dash and label, not by colour alone; a hole in the values is a hole in the
line, never a zero.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, log10

WIDTH, HEIGHT = 1000.0, 100.0
GAP = 0.24
"""Of a column's place that stays empty."""


@dataclass(frozen=True, slots=True)
class Series:
    """One thing that is shown."""

    name: str
    kind: str
    """A class of the style sheet: `a` plain, `b` dashed or hatched, `bad` for what failed."""
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a column: per cent from the top, and its height."""

    kind: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Column:
    """The values of one place on the axis."""

    x: float
    width: float
    place: float
    """Where its whole place begins, gap included: what a pointer may hit."""
    step: float
    words: str
    pieces: Sequence[Piece]


@dataclass(frozen=True, slots=True)
class Line:
    """One series as a path; `dots` is one of those values that have no neighbour."""

    kind: str
    path: str
    dots: str


@dataclass(frozen=True, slots=True)
class Chart:
    """What is drawn, and what is said of it."""

    title: str
    summary: str
    """What somebody must know who does not see it."""
    top: str
    """Of the axis."""
    middle: str
    ends: tuple[str, str]
    """The first and the last label."""
    columns: Sequence[Column]
    lines: Sequence[Line]
    series: Sequence[Series]
    rows: Sequence[tuple[str, Sequence[str]]]
    """The same as a table: label and values."""


def column_chart(title: str, labels: Sequence[str], series: Sequence[Series], write: Callable[[float], str]) -> Chart:
    """Stacked columns, the first series at the bottom. `write` says a value."""
    stacks = list(zip(*(one.values for one in series), strict=True))
    top = nice_top(max((sum(value or 0 for value in stack) for stack in stacks), default=0))
    step = 100 / max(len(labels), 1)
    columns = []
    for place, (label, stack) in enumerate(zip(labels, stacks, strict=True)):
        pieces, base = [], 100.0
        for one, value in zip(series, stack, strict=True):
            height = 100 * (value or 0) / top
            base -= height
            if height:
                pieces.append(Piece(one.kind, round(base, 3), round(height, 3)))
        x = round(place * step + step * GAP / 2, 3)
        words = _words(label, series, stack, write)
        columns.append(Column(x, round(step * (1 - GAP), 3), round(place * step, 3), round(step, 3), words, pieces))
    return _chart(title, labels, series, write, top, columns, ())


def line_chart(title: str, labels: Sequence[str], series: Sequence[Series], write: Callable[[float], str]) -> Chart:
    """Lines over each other. `write` says a value."""
    top = nice_top(max((value for one in series for value in one.values if value is not None), default=0))
    step = 100 / max(len(labels), 1)
    columns = [
        Column(0, 0, round(place * step, 3), round(step, 3), _words(label, series, stack, write), ())
        for place, (label, stack) in enumerate(
            zip(labels, zip(*(one.values for one in series), strict=True), strict=True)
        )
    ]
    return _chart(title, labels, series, write, top, columns, [_line(one, top) for one in series])


def nice_top(most: float) -> float:
    """The end of an axis that holds `most`: 1, 1.5, 2, 3, 5 or 8 of a power of ten."""
    if most <= 0:
        return 1.0
    power = 10.0 ** ceil(log10(most) - 1)
    return next((power * step for step in (1, 1.5, 2, 3, 5, 8, 10) if power * step >= most * 0.9999), power * 10)


def _line(series: Series, top: float) -> Line:
    path, dots, drawing = [], [], False
    count = len(series.values)
    for place, value in enumerate(series.values):
        if value is None:
            drawing = False
            continue
        x = WIDTH * (place + 0.5) / count
        y = HEIGHT * (1 - value / top)
        follows = place + 1 < count and series.values[place + 1] is not None
        if not drawing and not follows:
            dots.append(f"M{x:.1f} {y:.2f}h0")
        else:
            path.append(f"{'L' if drawing else 'M'}{x:.1f} {y:.2f}")
        drawing = True
    return Line(series.kind, "".join(path), "".join(dots))


def _chart(
    title: str,
    labels: Sequence[str],
    series: Sequence[Series],
    write: Callable[[float], str],
    top: float,
    columns: Sequence[Column],
    lines: Sequence[Line],
) -> Chart:
    said = []
    for one in series:
        known = [(value, label) for value, label in zip(one.values, labels, strict=True) if value is not None]
        if known:
            highest, when = max(known, key=lambda pair: pair[0])
            said.append(f"{one.name}: now {write(known[-1][0])}, at most {write(highest)} at {when}.")
    ends = (labels[0], labels[-1]) if labels else ("", "")
    rows = [(label, [_said(one.values[place], write) for one in series]) for place, label in enumerate(labels)]
    summary = f"From {ends[0]} to {ends[1]}. {' '.join(said)}" if said else "Nothing in this time."
    return Chart(title, summary, write(top), write(top / 2), ends, columns, lines, series, rows)


def _words(label: str, series: Sequence[Series], stack: Sequence[float | None], write: Callable[[float], str]) -> str:
    return f"{label}\n" + "\n".join(
        f"{one.name}: {_said(value, write)}" for one, value in zip(series, stack, strict=True)
    )


def _said(value: float | None, write: Callable[[float], str]) -> str:
    return "none" if value is None else write(value)
