"""What a tenant used, in few rows: whole days from the sums per day, the rest of the time from those per hour."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any, Literal

from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db import fleet_queries, usage_queries
from gateway.db.usage_queries import Sums
from gateway.errors import RequestError
from gateway.services.usage.tenant import tenant_with_usage

By = Literal["day", "model", "key"]
COLUMNS: dict[By, tuple[str, str]] = {"day": ("day", "hour"), "model": ("model", "model"), "key": ("key_id", "key_id")}
"""Of days, and of hours."""


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One day (`2026-11-05`, UTC), model id or key id, and what was used."""

    name: str
    requests: int
    failed: int
    """Of the requests, those that were admitted and came to nothing."""
    refused: int
    """Besides the requests, those that were not admitted."""
    inputs: int
    tokens: int
    bytes_in: int
    bytes_out: int
    latency_ms: float
    """Of all requests together."""
    upstream_ms: float


async def summarize_usage(
    session: AsyncSession, tenant: str, *, start: datetime, end: datetime, by: By
) -> Sequence[UsageRow]:
    """What the tenant (its name or id) used in the hours that begin in [start, end), by name."""
    if start >= end:
        raise RequestError(f"The time from {start:%Y-%m-%d} to {end:%Y-%m-%d} is empty.", param="from")
    tenant_id = await tenant_with_usage(session, tenant)
    of_days, of_hours = COLUMNS[by]
    first, last = whole_days(start, end)
    found: list[tuple[Any, Sums]] = []
    if first < last:
        found += await usage_queries.usage_by_days(session, tenant_id, of_days, start=first.date(), end=last.date())
    for begin, until in ((start, min(first, end)), (max(first, last), end)):
        if begin < until:
            found += await usage_queries.usage_by(session, tenant_id, of_hours, start=begin, end=until)
    return added((f"{value:%Y-%m-%d}" if by == "day" else str(value), sums) for value, sums in found)


def whole_days(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """The first and the last midnight, UTC, of a time; the first is after the last where it has no whole day."""
    first, last = (datetime.combine(moment.astimezone(UTC).date(), time.min, UTC) for moment in (start, end))
    return first if first == start else first + timedelta(days=1), last


def added(named: Iterable[tuple[str, Sums]]) -> Sequence[UsageRow]:
    """Sums of the same name as one row, by name."""
    totals: dict[str, Sums] = {}
    for name, sums in named:
        totals[name] = totals[name].plus(sums) if name in totals else sums
    return [UsageRow(name, **totals[name]._asdict()) for name in sorted(totals)]


async def recent_tokens(session: AsyncSession, tenant_ids: Iterable[str], start: datetime) -> Mapping[str, int]:
    """The tokens that each of these tenants used in the hours from `start` on, for lists in which many stand."""
    return await fleet_queries.tokens_of(session, tuple(tenant_ids), start)
