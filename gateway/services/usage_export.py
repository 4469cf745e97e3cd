"""A tenant's usage as CSV or JSON lines, page by page: a year of records takes no more memory than a page of them."""

import csv
import io
import json
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, date, datetime, time
from typing import Literal
from uuid import UUID

from gateway.db import queries
from gateway.db.session import Database
from gateway.db.tables import UsageRecord
from gateway.errors import RequestError
from gateway.services.tenants import find_tenant

Format = Literal["csv", "jsonl"]

COLUMNS = (
    "time", "tenant", "key_id", "model", "endpoint", "status", "inputs", "tokens",
    "revision", "lane", "bytes_in", "latency_ms", "tenant_id", "id",
)  # fmt: skip
"""In this order; new ones come at the end."""

PAGE = 1000


async def export_usage(
    database: Database, tenant: str, *, start: datetime, end: datetime, form: Format
) -> AsyncIterator[str]:
    """The text in pieces: records of the tenant (its name or id) in [start, end), oldest first.

    Every page is a transaction of its own, so a slow reader holds nothing open.
    """
    if start >= end:
        raise RequestError(f"The time from {start:%Y-%m-%d} to {end:%Y-%m-%d} is empty.", param="from")
    async with database.reading() as session:
        tenant_id = (await find_tenant(session, tenant)).id
    yield _csv_lines([COLUMNS]) if form == "csv" else ""
    after: tuple[datetime, UUID] | None = None
    while True:
        async with database.reading() as session:
            page = await queries.usage(session, tenant_id, start=start, end=end, after=after, limit=PAGE)
        yield _csv_lines(map(_cells, page)) if form == "csv" else _json_lines(page)
        if len(page) < PAGE:
            return
        after = (page[-1].time, page[-1].id)


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


def _csv_lines(rows: Iterable[Iterable[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _json_lines(page: Iterable[UsageRecord]) -> str:
    return "".join(json.dumps(dict(zip(COLUMNS, _cells(row), strict=True)), ensure_ascii=False) + "\n" for row in page)


def _cells(row: UsageRecord) -> tuple[object, ...]:
    return (
        row.time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
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
    )
