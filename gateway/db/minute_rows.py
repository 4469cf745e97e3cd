"""The sums per minute: written with the records that they are of, read by the console, deleted when they are old."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Row, delete, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gateway.db.tables import UsageMinute
from gateway.db.upserts import dialect_of, insert_of

COUNTED = ("requests", "failed", "refused", "inputs", "tokens", "latency_ms", "upstream_ms")


async def add_to_minutes(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add to the sums. All gateways must name the rows in the order of their keys, and after those of the hours."""
    await (await session.connection()).execute(_add_to_minutes(dialect_of(session)), list(rows))


async def minutes_between(session: AsyncSession, start: datetime, end: datetime) -> Sequence[Row[Any]]:
    """The sums of the minutes that begin in [start, end), oldest first: plain rows, of which there are a thousand."""
    minute = col(UsageMinute.minute)
    lane, bucket = col(UsageMinute.lane), col(UsageMinute.bucket)
    chosen = select(minute, lane, bucket, *(getattr(UsageMinute, name) for name in COUNTED))
    rows: Sequence[Row[Any]] = (
        await session.execute(chosen.where(minute >= start, minute < end).order_by(minute, lane, bucket))
    ).all()
    return rows


async def forget_minutes(session: AsyncSession, before: datetime) -> None:
    """Delete the sums of minutes before `before`, but what another transaction is about to change."""
    key = (col(UsageMinute.minute), col(UsageMinute.lane), col(UsageMinute.bucket))
    old = select(*key).where(col(UsageMinute.minute) < before).with_for_update(skip_locked=True)
    await session.execute(delete(UsageMinute).where(tuple_(*key).in_(old)))


@cache
def _add_to_minutes(dialect: str) -> Any:
    """Made once: to make a statement takes as long as to carry it out."""
    table = UsageMinute.__table__  # type: ignore[attr-defined]
    insert = insert_of(dialect, table)
    added = {name: table.c[name] + insert.excluded[name] for name in COUNTED}
    return insert.on_conflict_do_update(index_elements=["minute", "lane", "bucket"], set_=added)
