"""A tenant's usage as CSV or JSON lines, page by page: a year of records takes no more memory than a page of them.

Single records while they are kept; sums per hour, day or month (UTC) for ever, which agree with the records to the last
token, for both are written in one transaction.
"""

import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, date, datetime, time
from typing import Literal, Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db import usage_queries
from gateway.db.tables import UsageHour, UsageRecord
from gateway.db.usage_queries import Place
from gateway.errors import RequestError
from gateway.services.usage.tenant import tenant_with_usage

Format = Literal["csv", "jsonl"]
Grain = Literal["record", "hour", "day", "month"]
Cells = tuple[object, ...]


class Readable(Protocol):
    """Opens sessions that see one consistent state: `Database`."""

    def reading(self) -> AbstractAsyncContextManager[AsyncSession]:
        """One such session."""


COLUMNS = (
    "time", "tenant", "key_id", "model", "endpoint", "status", "inputs", "tokens",
    "revision", "lane", "bytes_in", "latency_ms", "tenant_id", "id", "bytes_out", "upstream_ms", "request_id",
)  # fmt: skip
"""Of single records, in this order; new ones come at the end."""
SUM_COLUMNS = (
    "time", "tenant", "key_id", "model", "endpoint", "lane",
    "requests", "failed", "refused", "inputs", "tokens", "bytes_in", "bytes_out", "latency_ms", "upstream_ms",
    "tenant_id",
)  # fmt: skip
"""Of sums: `time` is where the hour, day or month begins; latencies are sums, too."""
SUMMED = slice(SUM_COLUMNS.index("requests"), SUM_COLUMNS.index("tenant_id"))

PAGE = 1000
FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""Beginnings of what spreadsheets would carry out; the last four are wide ones, which some read as the others."""


async def export_usage(
    database: Readable, tenant: str, *, start: datetime, end: datetime, form: Format, by: Grain = "record"
) -> AsyncIterator[str]:
    """The text in pieces: what the tenant (its name or id) used in [start, end), oldest first.

    Sums are of the hours that begin in there. Every page is a transaction of its own, so a slow reader holds nothing
    open. A tenant that was deleted is known by its id.
    """
    if start >= end:
        raise RequestError(f"The time from {start:%Y-%m-%d} to {end:%Y-%m-%d} is empty.", param="from")
    async with database.reading() as session:
        tenant_id = await tenant_with_usage(session, tenant)
    columns = COLUMNS if by == "record" else SUM_COLUMNS
    pages = (
        _records(database, tenant_id, start, end)
        if by == "record"
        else _periods(_hours(database, tenant_id, start, end), by)
    )
    yield csv_lines([columns]) if form == "csv" else ""
    async for page in pages:
        yield csv_lines(page) if form == "csv" else _json_lines(columns, page)


def parse_moment(text: str) -> datetime:
    """A date (its first moment, UTC) or a time; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise RequestError(f"{text!r} is no date; write it like 2026-11-01.", param="from") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def start_of_month(today: date) -> datetime:
    """Where an export begins that does not say."""
    return datetime.combine(today.replace(day=1), time.min, UTC)


async def _records(database: Readable, tenant_id: str, start: datetime, end: datetime) -> AsyncIterator[list[Cells]]:
    after: tuple[datetime, UUID] | None = None
    while True:
        async with database.reading() as session:
            page = await usage_queries.usage(session, tenant_id, start=start, end=end, after=after, limit=PAGE)
        yield [_record(row) for row in page]
        if len(page) < PAGE:
            return
        after = (page[-1].time, page[-1].id)


async def _hours(
    database: Readable, tenant_id: str, start: datetime, end: datetime
) -> AsyncIterator[Sequence[UsageHour]]:
    after: Place | None = None
    while True:
        async with database.reading() as session:
            page = await usage_queries.usage_hours(session, tenant_id, start=start, end=end, after=after, limit=PAGE)
        yield page
        if len(page) < PAGE:
            return
        last = page[-1]
        after = (last.hour, last.key_id, last.model, last.endpoint, last.lane)


async def _periods(hours: AsyncIterator[Sequence[UsageHour]], by: Grain) -> AsyncIterator[list[Cells]]:
    """Sums of one period at a time: hours come in order, so a period is over when the next has begun."""
    begin = BEGINNINGS[by]
    now: datetime | None = None
    sums: dict[Cells, Cells] = {}
    async for page in hours:
        done: list[Cells] = []
        for row in page:
            if (period := begin(row.hour)) != now:
                done += sums.values()
                sums, now = {}, period
            cells = _sum(row, period)
            key = (row.key_id, row.model, row.endpoint, row.lane)
            sums[key] = _added(sums[key], cells) if key in sums else cells
        yield done
    yield list(sums.values())


def _day(moment: datetime) -> datetime:
    return moment.replace(hour=0)


def _month(moment: datetime) -> datetime:
    return moment.replace(hour=0, day=1)


BEGINNINGS: dict[Grain, Callable[[datetime], datetime]] = {"hour": lambda hour: hour, "day": _day, "month": _month}


def _added(earlier: Cells, later: Cells) -> Cells:
    """The later one, a tenant's last name included, with what was used before."""
    summed = [mine + other for mine, other in zip(earlier[SUMMED], later[SUMMED], strict=True)]  # type: ignore[operator]
    return (*later[: SUMMED.start], *summed, *later[SUMMED.stop :])


def csv_lines(rows: Iterable[Iterable[object]]) -> str:
    """Rows as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([_harmless(cell) for cell in row] for row in rows)
    return text.getvalue()


def _harmless(cell: object) -> object:
    """Names and ids are chosen by others; who opens the file must not run what they wrote: `'` makes it text."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def _json_lines(columns: Sequence[str], page: Iterable[Cells]) -> str:
    return "".join(json.dumps(dict(zip(columns, cells, strict=True)), ensure_ascii=False) + "\n" for cells in page)


def _written(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _sum(row: UsageHour, period: datetime) -> Cells:
    names = SUM_COLUMNS[SUMMED]
    place = (_written(period), row.tenant_name, row.key_id, row.model, row.endpoint, row.lane)
    return (*place, *(getattr(row, name) for name in names), row.tenant_id)


def _record(row: UsageRecord) -> Cells:
    return (
        _written(row.time),
        row.tenant_name,
        row.key_id,
        row.model,
        row.endpoint,
        row.status,
        row.inputs,
        row.tokens,
        row.revision,
        row.lane,
        row.bytes_in,
        row.latency_ms,
        row.tenant_id,
        str(row.id),
        row.bytes_out,
        row.upstream_ms,
        row.request_id,
    )
