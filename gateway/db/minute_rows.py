"""The sums per minute: written with the records that they are of, read by the console, deleted when they are old."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gateway.db.tables import UsageMinute
from gateway.db.upserts import adding_to

COUNTED = ("requests", "failed", "refused", "inputs", "tokens", "latency_ms", "upstream_ms")


async def add_to_minutes(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add to the sums. All gateways must name the rows in the order of their keys, and after those of the hours."""
    table = UsageMinute.__table__  # type: ignore[attr-defined]
    await (await session.connection()).execute(adding_to(session, table, COUNTED), list(rows))


async def minutes_between(session: AsyncSession, start: datetime, end: datetime) -> Sequence[Row[Any]]:
    """The minutes that begin in [start, end), oldest first: minute, lane and `COUNTED`."""
    minute, lane = col(UsageMinute.minute), col(UsageMinute.lane)
    sums = (func.sum(getattr(UsageMinute, name)).label(name) for name in COUNTED)
    chosen = select(minute, lane, *sums).where(minute >= start, minute < end)
    return (await session.execute(chosen.group_by(minute, lane).order_by(minute, lane))).all()


async def buckets_between(
    session: AsyncSession, start: datetime, end: datetime, lane: str
) -> Sequence[Row[datetime, int, int]]:
    """Minute, bucket and requests of one lane, in this order, but what was not admitted."""
    minute, bucket = col(UsageMinute.minute), col(UsageMinute.bucket)
    chosen = select(minute, bucket, col(UsageMinute.requests)).where(
        minute >= start, minute < end, col(UsageMinute.lane) == lane, bucket >= 0
    )
    return (await session.execute(chosen.order_by(minute, bucket))).all()


async def forget_minutes(session: AsyncSession, before: datetime) -> None:
    """Delete the sums of minutes before `before`, but what another transaction is about to change."""
    key = (col(UsageMinute.minute), col(UsageMinute.lane), col(UsageMinute.bucket))
    old = select(*key).where(col(UsageMinute.minute) < before).with_for_update(skip_locked=True)
    await session.execute(delete(UsageMinute).where(tuple_(*key).in_(old)))
