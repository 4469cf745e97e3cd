"""The rows behind monthly budgets: what was used of a month, and what has been said about it."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gateway.db.tables import ApiKey, BudgetNotice, UsageHour


async def tokens_by_model(
    session: AsyncSession, tenant_id: str, lineage: str | None, *, start: datetime, end: datetime
) -> Mapping[str, int]:
    """Tokens that the tenant, or one line of its keys, used in [start, end), whole hours, by model id."""
    chosen = select(col(UsageHour.model), func.sum(col(UsageHour.tokens))).where(
        col(UsageHour.tenant_id) == tenant_id, col(UsageHour.hour) >= start, col(UsageHour.hour) < end
    )
    if lineage is not None:
        line = select(col(ApiKey.id)).where(col(ApiKey.tenant_id) == tenant_id, col(ApiKey.lineage) == lineage)
        chosen = chosen.where(col(UsageHour.key_id).in_(line))
    rows = (await session.execute(chosen.group_by(col(UsageHour.model)))).all()
    return {model: int(tokens) for model, tokens in rows}


async def insert_notice(session: AsyncSession, tenant_id: str, **notice: object) -> bool:
    """Keep a notice of a budget of this tenant, unless it is there already; whether it was new."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    added = insert(BudgetNotice).values(tenant_id=tenant_id, **notice).on_conflict_do_nothing()
    return (await session.execute(added.returning(col(BudgetNotice.percent)))).first() is not None


async def notices(session: AsyncSession, tenant_id: str, month: str) -> Sequence[BudgetNotice]:
    """What was said of the tenant's budgets and its keys' in a month such as `2026-11`."""
    chosen = select(BudgetNotice).where(col(BudgetNotice.tenant_id) == tenant_id, col(BudgetNotice.month) == month)
    return (await session.scalars(chosen.order_by(col(BudgetNotice.time), col(BudgetNotice.percent)))).all()
