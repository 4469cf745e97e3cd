"""The writes that follow served requests. They change no policies, so they move no revision and leave no audit."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import BindParameter, bindparam, delete, or_, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gateway.db.tables import ApiKey, UsageDay, UsageHour, UsageRecord, UsageTotal
from gateway.db.upserts import adding_to, dialect_of, insert_of

COUNTED = ("requests", "failed", "refused", "inputs", "tokens", "bytes_in", "bytes_out", "latency_ms", "upstream_ms")


async def insert_usage(session: AsyncSession, records: Sequence[Mapping[str, Any]]) -> Sequence[UUID]:
    """Insert usage records and give the ids of those that are new; the others are left as they are."""
    added = await (await session.connection()).execute(_insert_new(dialect_of(session)), list(records))
    return added.scalars().all()


async def add_to_hours(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add to the sums per hour. All gateways must name the rows in the order of their keys, or they lock each other."""
    await _add(session, UsageHour, rows, "tenant_name")


async def add_to_days(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> None:
    """The same for the sums per day, after those per hour."""
    await _add(session, UsageDay, rows, "tenant_name")


async def add_to_totals(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> None:
    """The same for the sums over all tenants, after those per day."""
    await _add(session, UsageTotal, rows, "owner_name")


async def _add(session: AsyncSession, kind: Any, rows: Sequence[Mapping[str, Any]], last: str) -> None:
    statement = adding_to(session, kind.__table__, COUNTED, last)
    await (await session.connection()).execute(statement, list(rows))


async def delete_usage(session: AsyncSession, tenant_id: str, ids: Sequence[UUID]) -> None:
    """Delete single records of a tenant."""
    await session.execute(
        delete(UsageRecord).where(col(UsageRecord.tenant_id) == tenant_id, col(UsageRecord.id).in_(ids))
    )


async def touch_keys(session: AsyncSession, uses: Mapping[str, datetime]) -> None:
    """Note when keys were last used; never back in time, since several gateways write."""
    at: BindParameter[datetime] = bindparam("at")
    newer = or_(col(ApiKey.last_used_at).is_(None), col(ApiKey.last_used_at) < at)
    touch = update(ApiKey.__table__).where(col(ApiKey.id) == bindparam("key"), newer).values(last_used_at=at)  # type: ignore[attr-defined]
    await (await session.connection()).execute(touch, [{"key": key, "at": time} for key, time in sorted(uses.items())])


@cache
def _insert_new(dialect: str) -> Any:
    """Made once: putting it together takes as long as sending it."""
    table = UsageRecord.__table__  # type: ignore[attr-defined]
    return insert_of(dialect, table).on_conflict_do_nothing(index_elements=[table.c.id]).returning(table.c.id)
