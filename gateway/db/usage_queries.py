"""Every SELECT of usage. The tenant whose it is comes in the signature, never without."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, NamedTuple, Self
from uuid import UUID

from sqlalchemy import Row, Select, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gateway.db.tables import UsageDay, UsageHour, UsageRecord, UsageTotal

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

    def plus(self, other: Self) -> Self:
        """Both together."""
        return self._replace(**{name: getattr(self, name) + getattr(other, name) for name in self._fields})


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
    """A tenant's sums of the hours that begin in [start, end), by `hour`, `key_id` or `model`."""
    hour = col(UsageHour.hour)
    chosen = _summed(UsageHour, column).where(col(UsageHour.tenant_id) == tenant_id, hour >= start, hour < end)
    return _read((await session.execute(chosen)).all())


async def usage_by_days(
    session: AsyncSession, tenant_id: str, column: str, *, start: date, end: date
) -> Sequence[tuple[Any, Sums]]:
    """A tenant's sums of the days in [start, end), by `day`, `key_id` or `model`."""
    day = col(UsageDay.day)
    chosen = _summed(UsageDay, column).where(col(UsageDay.tenant_id) == tenant_id, day >= start, day < end)
    return _read((await session.execute(chosen)).all())


def _summed(table: type[UsageHour | UsageDay], column: str) -> Select[Any]:
    group = getattr(table, column)
    return select(group, *(func.sum(getattr(table, name)) for name in Sums._fields)).group_by(group)


def _read(rows: Sequence[Row[Any]]) -> Sequence[tuple[Any, Sums]]:
    """Sums of bigint are decimals on PostgreSQL."""
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
    chosen = select(col(UsageTotal.name)).where(col(UsageTotal.kind) == "tenant").distinct()
    return (await session.scalars(chosen)).all()
