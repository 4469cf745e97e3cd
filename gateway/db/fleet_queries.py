"""SELECTs over all tenants at once, for operators of the fleet; nothing that answers a caller may use them."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Row, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gateway.db.tables import ApiKey, BudgetNotice, UsageHour


async def budget_notices(session: AsyncSession, month: str, *, limit: int) -> Sequence[BudgetNotice]:
    """The latest notices of a month such as `2026-11`, of each budget the highest share."""
    place = (col(BudgetNotice.tenant_id), col(BudgetNotice.subject), col(BudgetNotice.model_pattern))
    highest = (
        select(*place, func.max(col(BudgetNotice.percent)).label("percent"))
        .where(col(BudgetNotice.month) == month)
        .group_by(*place)
        .subquery()
    )
    chosen = select(BudgetNotice).join(
        highest,
        (col(BudgetNotice.subject) == highest.c.subject)
        & (col(BudgetNotice.model_pattern) == highest.c.model_pattern)
        & (col(BudgetNotice.percent) == highest.c.percent),
    )
    order = (col(BudgetNotice.percent).desc(), col(BudgetNotice.time).desc())
    return (await session.scalars(chosen.where(col(BudgetNotice.month) == month).order_by(*order).limit(limit))).all()


async def most_refused(session: AsyncSession, since: datetime, *, limit: int) -> Sequence[Row[str, str, int]]:
    """The tenants of whose requests most were refused in the hours from `since` on: id, last name, how many."""
    refused = func.sum(col(UsageHour.refused))
    chosen = select(col(UsageHour.tenant_id), func.max(col(UsageHour.tenant_name)), refused).where(
        col(UsageHour.hour) >= since, col(UsageHour.refused) > 0
    )
    return (
        await session.execute(chosen.group_by(col(UsageHour.tenant_id)).order_by(refused.desc()).limit(limit))
    ).all()


async def anything_used(session: AsyncSession) -> bool:
    """Whether any tenant ever asked for anything."""
    return (await session.scalars(select(col(UsageHour.hour)).limit(1))).first() is not None


async def key_counts(session: AsyncSession, tenant_ids: Sequence[str], now: datetime) -> Mapping[str, int]:
    """How many keys that work each of these tenants has; those without any are left out."""
    works = or_(col(ApiKey.expires_at).is_(None), col(ApiKey.expires_at) > now)
    chosen = select(col(ApiKey.tenant_id), func.count()).where(
        col(ApiKey.tenant_id).in_(tenant_ids), col(ApiKey.revoked_at).is_(None), works
    )
    return {row[0]: row[1] for row in await session.execute(chosen.group_by(col(ApiKey.tenant_id)))}


async def tokens_of(session: AsyncSession, tenant_ids: Sequence[str], start: datetime) -> Mapping[str, int]:
    """The tokens of each of these tenants in the hours from `start` on; those that used none may be left out."""
    tenant = col(UsageHour.tenant_id)
    chosen = select(tenant, func.sum(UsageHour.tokens)).where(tenant.in_(tenant_ids), col(UsageHour.hour) >= start)
    return {row[0]: int(row[1]) for row in await session.execute(chosen.group_by(tenant))}
