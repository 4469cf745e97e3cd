"""Who is at a limit, over all tenants."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.db.tables import BudgetNotice
from gateway.services.usage.ledger import HourKey, enter_refused
from gateway.services.usage.limits_reached import anything_used, budgets_passed, most_refused

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 21, 14, 20, tzinfo=UTC)
HOUR = NOW.replace(minute=0)


def notice(subject: str, percent: int, pattern: str = "*", month: str = "2026-11", minutes: int = 0) -> BudgetNotice:
    at = NOW - timedelta(minutes=minutes)
    return BudgetNotice(
        subject=subject, model_pattern=pattern, month=month, percent=percent, tenant_id="tn_a", amount=10, time=at
    )


async def test_each_budget_is_told_once_by_its_highest_share_the_fullest_first(database) -> None:
    async with database.transaction() as session:
        session.add_all(
            [
                notice("tenant:a", 80), notice("tenant:a", 100, minutes=5), notice("tenant:b", 80, minutes=3),
                notice("key:k", 80, "org/*", minutes=1), notice("tenant:c", 100, minutes=2),
                notice("tenant:d", 80, month="2026-10"), notice("tenant:b", 100, month="2026-10"),
            ]
        )  # fmt: skip
    async with database.reading() as session:
        found = await budgets_passed(session, NOW)
        two = await budgets_passed(session, NOW, limit=2)
    told = [(one.percent, one.model_pattern, one.of_key, (NOW - one.time).seconds // 60) for one in found]
    assert told == [(100, "*", False, 2), (100, "*", False, 5), (80, "org/*", True, 1), (80, "*", False, 3)]
    assert two == found[:2]


async def test_most_refused_are_summed_over_what_was_refused_in_this_hour(database) -> None:
    def counted(tenant: str, count: int, key: str = "k", hour: datetime = HOUR):
        return {HourKey(tenant, hour, key, "m", "/v1/embeddings", "interactive"): (f"{tenant} Ltd", count)}

    async with database.reading() as session:
        assert not await anything_used(session)
    for refused in (
        counted("tn_a", 5), counted("tn_a", 6, "other"), counted("tn_b", 9), counted("tn_c", 1),
        counted("tn_c", 500, hour=HOUR - timedelta(hours=1)),
    ):  # fmt: skip
        await enter_refused(database, refused)
    async with database.reading() as session:
        assert await anything_used(session)
        found = await most_refused(session, NOW, limit=2)
    assert [(one.tenant_id, one.name, one.requests) for one in found] == [
        ("tn_a", "tn_a Ltd", 11), ("tn_b", "tn_b Ltd", 9),
    ]  # fmt: skip
