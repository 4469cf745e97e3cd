import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import select

from gateway.db.tables import UsageHour, UsageRecord
from gateway.services.usage import retention
from gateway.services.usage.ledger import enter
from gateway.services.usage.recorder import UsageEvent
from gateway.services.usage.retention import Retention

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch) -> None:
    monkeypatch.setattr(retention, "PAUSE", 0)
    monkeypatch.setattr(retention, "BATCH", 7)


async def used(database, tenant: str, *ages: timedelta) -> None:
    facts = {"key_id": "k", "model": "m", "revision": None, "endpoint": "/v1/embeddings", "status": 200}
    numbers = {"inputs": 1, "tokens": 5, "bytes_in": 1, "latency_ms": 1.0}
    events = [UsageEvent(tenant_id=tenant, tenant_name=tenant, time=NOW - age, **facts, **numbers) for age in ages]
    await enter(database, events)


async def kept(database) -> list[tuple[str, timedelta]]:
    async with database.reading() as session:
        found = (await session.scalars(select(UsageRecord))).all()
    return sorted((row.tenant_id, NOW - row.time) for row in found)


async def test_what_is_older_goes_in_batches_what_is_younger_and_the_sums_stay(database) -> None:
    old, edge, young = timedelta(days=10, seconds=1), timedelta(days=10), timedelta(days=9)
    await used(database, "tn_1", *[old] * 20, edge, young)
    await used(database, "tn_gone", *[old] * 3)
    assert await Retention(database, 10, clock=lambda: NOW).delete_old() == 23
    assert await kept(database) == [("tn_1", young), ("tn_1", edge)]
    async with database.reading() as session:
        hours = (await session.scalars(select(UsageHour))).all()
    assert (sum(row.requests for row in hours), sum(row.tokens for row in hours)) == (25, 125)
    assert await Retention(database, 10, clock=lambda: NOW).delete_old() == 0


async def test_several_gateways_may_delete_at_once(database) -> None:
    await used(database, "tn_1", *[timedelta(days=20)] * 60, timedelta(days=1))
    deleting = [Retention(database, 10, clock=lambda: NOW).delete_old() for _ in range(4)]
    assert sum(await asyncio.gather(*deleting)) == 60
    assert await kept(database) == [("tn_1", timedelta(days=1))]


async def test_it_is_looked_after_in_the_background(database, until) -> None:
    await used(database, "tn_1", timedelta(days=20_000))
    looking = Retention.open(database, 1, interval=0.01)
    for _ in range(1000):
        if not await kept(database):
            break
        await asyncio.sleep(0.01)
    await looking.close()
    assert await kept(database) == []
