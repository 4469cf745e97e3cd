"""Days, months and years, UTC, as addresses write them: `2026-11-05`, `2026-11`, `2026`. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal, Self

from gateway.errors import RequestError

Span = Literal["day", "month", "year"]
_NAME = re.compile(r"2[01][0-9]{2}(-[0-9]{2}(-[0-9]{2})?)?")
_LENGTHS: dict[int, Span] = {4: "year", 7: "month", 10: "day"}


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """A day, a month or a year."""

    start: date
    span: Span

    @classmethod
    def of(cls, day: date, span: Span) -> Self:
        """The one in which a day lies."""
        first = {"day": day, "month": day.replace(day=1), "year": day.replace(month=1, day=1)}
        return cls(first[span], span)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Of its name. Raises RequestError."""
        try:
            start = date.fromisoformat(f"{text}-01-01"[:10]) if _NAME.fullmatch(text) else None
        except ValueError:
            start = None
        if start is None:
            raise RequestError(f"{text[:40]!r} is no time; write it like 2026-11-05, 2026-11 or 2026.", param="period")
        return cls(start, _LENGTHS[len(text)])

    @property
    def name(self) -> str:
        """As it is written."""
        return self.start.isoformat()[: {"year": 4, "month": 7, "day": 10}[self.span]]

    @property
    def end(self) -> date:
        """The first day after it."""
        if self.span == "day":
            return self.start + timedelta(days=1)
        after = self.start + timedelta(days=31 if self.span == "month" else 366)
        return Period.of(after, self.span).start

    @property
    def before(self) -> "Period":
        """The one before it."""
        return Period.of(self.start - timedelta(days=1), self.span)

    @property
    def after(self) -> "Period":
        """The next one."""
        return Period(self.end, self.span)

    @property
    def around(self) -> "Period":
        """The month of a day, the year of a month."""
        return Period.of(self.start, "month" if self.span == "day" else "year")

    @property
    def parts(self) -> "Sequence[Period]":
        """The days of a month, the months of a year; a day has none."""
        if self.span == "day":
            return ()
        part = Period(self.start, "day" if self.span == "month" else "month")
        found = []
        while part.start < self.end:
            found.append(part)
            part = part.after
        return found
