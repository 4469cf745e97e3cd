"""SELECTs over all tenants at once, for operators of the fleet; nothing that answers a caller may use them."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Integer, Row, exists, func, literal_column, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlmodel import col

from gateway.db.tables import ApiKey, BudgetNotice, Tenant, TenantAlias, UsageHour, UsageTotal


async def budget_notices(session: AsyncSession, month: str, *, limit: int) -> Sequence[BudgetNotice]:
    """The latest notices of a month such as `2026-11`, of each budget the highest share."""
    said, higher = aliased(BudgetNotice), aliased(BudgetNotice)
    surpassed = exists().where(
        col(higher.subject) == said.subject,
        col(higher.model_pattern) == said.model_pattern,
        col(higher.month) == month,
        col(higher.percent) > said.percent,
    )
    chosen = select(said).where(col(said.month) == month, ~surpassed)
    order = (col(said.percent).desc(), col(said.time).desc())
    return (await session.scalars(chosen.order_by(*order).limit(limit))).all()


async def most_refused(session: AsyncSession, since: datetime, *, limit: int) -> Sequence[Row[str, str, int]]:
    """The tenants of whose requests most were refused in the hours from `since` on: id, last name, how many."""
    refused = func.sum(col(UsageHour.refused))
    none = literal_column("0", Integer)  # no parameter: there is an index of these
    chosen = select(func.max(col(UsageHour.tenant_id)), func.max(col(UsageHour.tenant_name)), refused).where(
        col(UsageHour.hour) >= since, col(UsageHour.refused) > none
    )
    # By an expression: SQLite would rather read the whole table in the order of tenants than these few rows.
    by = col(UsageHour.tenant_id) + literal_column("''")
    return (await session.execute(chosen.group_by(by).order_by(refused.desc()).limit(limit))).all()


async def anything_used(session: AsyncSession) -> bool:
    """Whether any tenant ever asked for anything."""
    days = select(col(UsageTotal.start)).where(col(UsageTotal.kind) == "day").limit(1)
    return (await session.scalars(days)).first() is not None


async def tenant_aliases_of(session: AsyncSession, model_id: str) -> Sequence[tuple[str, TenantAlias]]:
    """What tenants call a model by names of their own, with the tenants' names, by these: for operators."""
    chosen = select(col(Tenant.name), TenantAlias).join(Tenant, col(Tenant.id) == col(TenantAlias.tenant_id))
    chosen = chosen.where(col(TenantAlias.model_id) == model_id).order_by(col(Tenant.name), col(TenantAlias.alias))
    return [(row[0], row[1]) for row in await session.execute(chosen)]


async def key_names(session: AsyncSession, key_ids: Sequence[str]) -> Mapping[str, str]:
    """What these keys are called, those that are there, by id."""
    chosen = select(col(ApiKey.id), col(ApiKey.name)).where(col(ApiKey.id).in_(key_ids))
    return {row[0]: row[1] for row in await session.execute(chosen)}


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
