"""Traffic and latency of the last hour, minute by minute: over all tenants, from sums that cost the same at any load.

A sum is of the requests of one minute and lane whose latency fell into one bucket. Buckets grow by a factor of 1.58,
so a quantile is off by a few per cent.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db import minute_rows
from gateway.db.session import Database
from gateway.services.usage.event import UsageEvent

EDGES = tuple(round(10 ** (step / 5), 2) for step in range(21))
"""Milliseconds: the upper ends of the buckets, 1 to 10,000. What took longer is in one more."""
REFUSED = -1
"""The bucket of what was not admitted, and so took no time worth a word."""
KEPT = timedelta(hours=2)
INTERACTIVE = "interactive"

_Key = tuple[datetime, str, int]


@dataclass(frozen=True, slots=True)
class Minute:
    """What was asked for in one minute."""

    start: datetime
    requests: int = 0
    failed: int = 0
    """Of the requests, those that were admitted and came to nothing."""
    refused: int = 0
    """Besides the requests, those that were not admitted."""
    tokens: int = 0
    median: float | None = None
    """Milliseconds until the answer, of the interactive lane; None where nothing was asked for there."""
    slow: float | None = None
    """The same of the slowest twentieth: the 95th percentile."""
    upstream: float | None = None
    """Of the mean latency there, the share that nodes took; 0 to 1."""


def sums_by_minute(events: Iterable[UsageEvent], failed_from: int) -> list[dict[str, Any]]:
    """One row per minute, lane and bucket, in the order of their keys; a status from `failed_from` on is a failure."""
    rows: dict[_Key, dict[str, Any]] = {}
    for event in events:
        key = (minute_of(event.time), event.lane, bisect_left(EDGES, event.latency_ms))
        row = rows.get(key) or rows.setdefault(key, _empty(key))
        row["requests"] += 1
        row["failed"] += event.status >= failed_from
        for name in ("inputs", "tokens", "latency_ms", "upstream_ms"):
            row[name] += getattr(event, name)
    return [rows[key] for key in sorted(rows)]


def refused_now(counts: Mapping[str, int], now: datetime) -> list[dict[str, Any]]:
    """Rows for what was refused just before `now`, by lane."""
    keys = [(minute_of(now), lane, REFUSED) for lane in sorted(counts)]
    return [_empty(key) | {"refused": counts[key[1]]} for key in keys]


async def last_minutes(session: AsyncSession, now: datetime, count: int = 60) -> Sequence[Minute]:
    """The last minutes, oldest first and each of them, the one that has just begun included."""
    first = minute_of(now) - timedelta(minutes=count - 1)
    end = first + timedelta(minutes=count)
    lanes: dict[datetime, list[Any]] = {first + timedelta(minutes=place): [] for place in range(count)}
    buckets: dict[datetime, dict[int, int]] = {minute: {} for minute in lanes}
    for row in await minute_rows.minutes_between(session, first, end):
        lanes[row.minute].append(row)
    for minute, bucket, requests in await minute_rows.buckets_between(session, first, end, INTERACTIVE):
        buckets[minute][bucket] = requests
    return [_minute(start, rows, buckets[start]) for start, rows in lanes.items()]


async def forget_old_minutes(database: Database, now: datetime) -> None:
    """Delete the sums that nobody looks at any more."""
    async with database.transaction() as session:
        await minute_rows.forget_minutes(session, now - KEPT)


def quantile(buckets: Mapping[int, int], share: float) -> float | None:
    """The latency that this share of requests, counted by bucket, stayed below: in milliseconds."""
    total = sum(buckets.values())
    rank, below = share * total, 0
    for bucket in sorted(buckets):
        count = buckets[bucket]
        if count and below + count >= rank:
            if bucket >= len(EDGES):
                return EDGES[-1]
            low = EDGES[bucket - 1] if bucket else EDGES[0] / 2
            return low * float((EDGES[bucket] / low) ** ((rank - below) / count))
        below += count
    return None


def minute_of(moment: datetime) -> datetime:
    """The beginning of its minute, UTC."""
    return moment.astimezone(UTC).replace(second=0, microsecond=0)


def _minute(start: datetime, lanes: Sequence[Any], buckets: Mapping[int, int]) -> Minute:
    direct = next((row for row in lanes if row.lane == INTERACTIVE), None)
    return Minute(
        start,
        requests=sum(int(row.requests) for row in lanes),
        failed=sum(int(row.failed) for row in lanes),
        refused=sum(int(row.refused) for row in lanes),
        tokens=sum(int(row.tokens) for row in lanes),
        median=quantile(buckets, 0.5),
        slow=quantile(buckets, 0.95),
        upstream=direct.upstream_ms / direct.latency_ms if direct is not None and direct.latency_ms else None,
    )


def _empty(key: _Key) -> dict[str, Any]:
    minute, lane, bucket = key
    counts = dict.fromkeys(("requests", "failed", "refused", "inputs", "tokens"), 0)
    return {"minute": minute, "lane": lane, "bucket": bucket, **counts, "latency_ms": 0.0, "upstream_ms": 0.0}
