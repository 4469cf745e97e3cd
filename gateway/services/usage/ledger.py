"""Usage enters the database: single records, each once, and all sums of them in the same transaction."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db.minute_rows import add_to_minutes
from gateway.db.session import Database
from gateway.db.usage_rows import add_to_days, add_to_hours, add_to_totals, insert_usage
from gateway.services.usage.event import UsageEvent
from gateway.services.usage.minutes import refused_now, sums_by_minute
from gateway.services.usage.rollups import days_of, totals_of

FAILED = 400
"""From this status on a request was admitted and came to nothing."""


class HourKey(NamedTuple):
    """What is summed together. Its order is that in which rows are locked, the same for every gateway."""

    tenant_id: str
    hour: datetime
    key_id: str
    model: str
    endpoint: str
    lane: str


async def enter(database: Database, events: Sequence[UsageEvent]) -> int:
    """Write records and add those to the sums that were not there before; how many these are."""
    async with database.transaction() as session:
        return await enter_within(session, events)


async def enter_within(session: AsyncSession, events: Sequence[UsageEvent], at_once: int = 250) -> int:
    """The same as a part of a transaction; so many records are made at once, between which others get their turn."""
    once = {event.id: event for event in reversed(events)}
    order = sorted(once, key=lambda identity: identity.int)
    new: list[UUID] = []
    for start in range(0, len(order), at_once):
        rows = [msgspec.structs.asdict(once[identity]) for identity in order[start : start + at_once]]
        new += await insert_usage(session, rows)
    if new:
        await _add_up(session, sums(once[identity] for identity in new))
        await add_to_minutes(session, sums_by_minute((once[identity] for identity in new), FAILED))
    return len(new)


async def enter_refused(database: Database, refused: Mapping[HourKey, tuple[str, int]]) -> None:
    """Add counts of refused requests to the sums, each with its tenant's name."""
    rows = [_empty(key, name) | {"refused": count} for key, (name, count) in sorted(refused.items())]
    by_lane: Counter[str] = Counter()
    for key, (_, count) in refused.items():
        by_lane[key.lane] += count
    async with database.transaction() as session:
        await _add_up(session, rows)
        await add_to_minutes(session, refused_now(by_lane, datetime.now(UTC)))


async def _add_up(session: AsyncSession, hours: Sequence[dict[str, Any]]) -> None:
    """Hours first, then what is made of them: rows are locked in the same order by every gateway."""
    days = days_of(hours)
    await add_to_hours(session, hours)
    await add_to_days(session, days)
    await add_to_totals(session, totals_of(days))


def sums(events: Iterable[UsageEvent]) -> list[dict[str, Any]]:
    """One row per hour, key, model, endpoint and lane, in the order of their keys."""
    rows: dict[HourKey, dict[str, Any]] = {}
    for event in events:
        key = HourKey(event.tenant_id, hour_of(event.time), event.key_id, event.model, event.endpoint, event.lane)
        row = rows.get(key) or rows.setdefault(key, _empty(key, event.tenant_name))
        row["requests"] += 1
        row["failed"] += event.status >= FAILED
        for name in ("inputs", "tokens", "bytes_in", "bytes_out", "latency_ms", "upstream_ms"):
            row[name] += getattr(event, name)
    return [rows[key] for key in sorted(rows)]


def hour_of(moment: datetime) -> datetime:
    """The beginning of its hour, UTC."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _empty(key: HourKey, tenant_name: str) -> dict[str, Any]:
    counts = dict.fromkeys(("requests", "failed", "refused", "inputs", "tokens", "bytes_in", "bytes_out"), 0)
    return {**key._asdict(), "tenant_name": tenant_name, **counts, "latency_ms": 0.0, "upstream_ms": 0.0}
