"""Every SELECT of usage. The tenant whose it is comes in the signature, never without."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gateway.db.tables import UsageHour, UsageRecord

Place = tuple[datetime, str, str, str, str]
"""Where a row of sums stands among those of its tenant: hour, key, model, endpoint, lane."""


class Sums(NamedTuple):
    """What was used together."""

    requests: int
    failed: int
    refused: int
    inputs: int
    tokens: int
    bytes_in: int
    bytes_out: int
    latency_ms: float
    upstream_ms: float


async def usage(
    session: AsyncSession,
    tenant_id: str,
    *,
    start: datetime,
    end: datetime,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> Sequence[UsageRecord]:
    """One page of a tenant's usage in [start, end), oldest first; `after` is where the page before ended."""
    time, identity = col(UsageRecord.time), col(UsageRecord.id)
    chosen = select(UsageRecord).where(col(UsageRecord.tenant_id) == tenant_id, time >= start, time < end)
    if after is not None:
        chosen = chosen.where(tuple_(time, identity) > tuple_(*after))
    return (await session.scalars(chosen.order_by(time, identity).limit(limit))).all()


async def usage_hours(
    session: AsyncSession, tenant_id: str, *, start: datetime, end: datetime, after: Place | None, limit: int
) -> Sequence[UsageHour]:
    """One page of a tenant's sums of the hours that begin in [start, end), oldest first."""
    hour = col(UsageHour.hour)
    place = (hour, col(UsageHour.key_id), col(UsageHour.model), col(UsageHour.endpoint), col(UsageHour.lane))
    chosen = select(UsageHour).where(col(UsageHour.tenant_id) == tenant_id, hour >= start, hour < end)
    if after is not None:
        chosen = chosen.where(tuple_(*place) > tuple_(*after))
    return (await session.scalars(chosen.order_by(*place).limit(limit))).all()


async def usage_by(
    session: AsyncSession, tenant_id: str, column: str, *, start: datetime, end: datetime
) -> Sequence[tuple[Any, Sums]]:
    """A tenant's sums of the hours that begin in [start, end), by `hour`, `key_id` or `model`, in its order."""
    group = getattr(UsageHour, column)
    sums = [func.sum(getattr(UsageHour, name)) for name in Sums._fields]
    chosen = select(group, *sums).where(
        col(UsageHour.tenant_id) == tenant_id, col(UsageHour.hour) >= start, col(UsageHour.hour) < end
    )
    rows: Sequence[Row[Any]] = (await session.execute(chosen.group_by(group).order_by(group))).all()
    return [(row[0], Sums(*map(int, row[1:8]), *map(float, row[8:]))) for row in rows]


async def usage_before(session: AsyncSession, tenant_id: str, moment: datetime, *, limit: int) -> Sequence[UUID]:
    """The oldest of a tenant's records before `moment` that no other transaction is about to delete."""
    time = col(UsageRecord.time)
    chosen = select(col(UsageRecord.id)).where(col(UsageRecord.tenant_id) == tenant_id, time < moment)
    return (await session.scalars(chosen.order_by(time).limit(limit).with_for_update(skip_locked=True))).all()


async def has_usage(session: AsyncSession, tenant_id: str) -> bool:
    """Whether a tenant, gone or not, ever asked for anything."""
    chosen = select(col(UsageHour.hour)).where(col(UsageHour.tenant_id) == tenant_id).limit(1)
    return (await session.scalars(chosen)).first() is not None


async def tenants_with_usage(session: AsyncSession) -> Sequence[str]:
    """The ids of all tenants that ever asked for anything, those that are gone included."""
    return (await session.scalars(select(col(UsageHour.tenant_id)).distinct())).all()
