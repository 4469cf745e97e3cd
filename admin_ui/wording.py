"""How numbers, bytes, times and changes are written for people. Pure; templates use them as filters."""

import json
import re
from datetime import UTC, datetime
from typing import Any

THIN = "\N{NARROW NO-BREAK SPACE}"
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
SHORT = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
MISLEADING = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Controls but tab and line end, and what embeds, overrides or isolates a direction of writing."""
SPANS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))


def bytes_text(count: float) -> str:
    """Bytes for people: `1.5 GiB`."""
    amount, unit = float(count), 0
    while amount >= 999.5 and unit < len(UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{amount:.3g} {UNITS[unit]}"


def number_text(count: float) -> str:
    """A whole number with thin spaces between thousands."""
    return f"{count:,.0f}".replace(",", THIN)


def compact_text(count: float) -> str:
    """A number in three digits: `12.4 k`; below a thousand as it is, without more than two digits after the point."""
    for size, letter in SHORT:
        if abs(count) >= size * 0.9995:
            return f"{count / size:.3g}{THIN}{letter}"
    return f"{count:.3g}" if count < 10 else f"{count:.0f}"


def millis_text(seconds: float) -> str:
    """A short time: `3.2 ms`, `840 ms`, `1.4 s`."""
    millis = seconds * 1000
    if not millis:
        return "0"
    if millis < 1000:
        return f"{millis:.2g} ms" if millis < 10 else f"{millis:.0f} ms"
    return span_text(seconds) if seconds >= 60 else f"{seconds:.3g} s"


def span_text(seconds: float) -> str:
    """How long: its largest unit, `3 min`."""
    for size, unit in SPANS:
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return "0 s"


def ago_text(moment: datetime | None, now: datetime) -> str:
    """How long ago, or in how long."""
    if moment is None:
        return "never"
    seconds = (now - moment).total_seconds()
    if abs(seconds) < 5:
        return "now"
    return f"{span_text(seconds)} ago" if seconds > 0 else f"in {span_text(-seconds)}"


def moment_text(moment: datetime) -> str:
    """A time in full, UTC: `2026-11-05 14:03:22 UTC`."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def day_text(moment: datetime) -> str:
    """Its day, UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d}"


def percent_text(share: float) -> str:
    """A share of one: `0.4 %`, `38 %`; what is next to nothing is said to be that."""
    percent = share * 100
    if not percent:
        return "0 %"
    return "< 0.1 %" if percent < 0.1 else f"{percent:.1g} %" if percent < 1 else f"{percent:.0f} %"


def value_text(value: Any) -> str:
    """A value of an audit event: words as they are, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def plural_text(count: int, one: str, many: str | None = None) -> str:
    """`1 node`, `3 nodes`."""
    return f"{number_text(count)} {one if count == 1 else many or one + 's'}"


def plain_text(text: str) -> str:
    """Without what misleads whoever reads it: a mark stands in its place."""
    return MISLEADING.sub("\N{REPLACEMENT CHARACTER}", text)
