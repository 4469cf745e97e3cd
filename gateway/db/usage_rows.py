"""The writes that follow served requests. They change no policies, so they move no revision and leave no audit."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, bindparam, or_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gateway.db.tables import ApiKey, UsageRecord


async def insert_usage(session: AsyncSession, records: Sequence[Mapping[str, Any]]) -> None:
    """Insert usage records; those whose id is there already are left as they are."""
    dialect = session.get_bind().dialect.name
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    await session.execute(insert(UsageRecord).on_conflict_do_nothing(index_elements=["id"]), list(records))


async def touch_keys(session: AsyncSession, uses: Mapping[str, datetime]) -> None:
    """Note when keys were last used; never back in time, since several gateways write."""
    at: BindParameter[datetime] = bindparam("at")
    newer = or_(col(ApiKey.last_used_at).is_(None), col(ApiKey.last_used_at) < at)
    touch = update(ApiKey.__table__).where(col(ApiKey.id) == bindparam("key"), newer).values(last_used_at=at)  # type: ignore[attr-defined]
    await (await session.connection()).execute(touch, [{"key": key, "at": time} for key, time in sorted(uses.items())])
