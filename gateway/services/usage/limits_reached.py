"""Which tenants are at their limits: for whoever looks after all of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db import fleet_queries
from gateway.services.usage.ledger import hour_of


@dataclass(frozen=True, slots=True)
class BudgetPassed:
    """A monthly budget of which so much is spent."""

    tenant_id: str
    model_pattern: str
    percent: int
    amount: int
    """Tokens."""
    time: datetime
    of_key: bool
    """It is that of one key."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A tenant, and how many of its requests were refused since the hour began."""

    tenant_id: str
    name: str
    requests: int


async def budgets_passed(session: AsyncSession, now: datetime, *, limit: int = 20) -> Sequence[BudgetPassed]:
    """The budgets of this month that are nearly or wholly spent, the fullest first."""
    month = f"{now.astimezone(UTC):%Y-%m}"
    return [
        BudgetPassed(
            row.tenant_id, row.model_pattern, row.percent, row.amount, row.time, row.subject.startswith("key:")
        )
        for row in await fleet_queries.budget_notices(session, month, limit=limit)
    ]


async def most_refused(session: AsyncSession, now: datetime, *, limit: int = 5) -> Sequence[Refused]:
    """The tenants of which most was refused in this hour."""
    return [Refused(*row) for row in await fleet_queries.most_refused(session, hour_of(now), limit=limit)]


async def anything_used(session: AsyncSession) -> bool:
    """Whether any tenant ever asked for anything."""
    return await fleet_queries.anything_used(session)
