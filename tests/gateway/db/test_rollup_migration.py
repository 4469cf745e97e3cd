"""Sums per day and over all tenants are made of the hours that an older version left."""

import random
import shutil
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert
from sqlmodel import select

from gateway.db import schema
from gateway.db.session import Database
from gateway.db.tables import UsageDay, UsageHour, UsageTotal
from gateway.db.usage_rows import COUNTED
from gateway.services.usage.rollups import days_of, totals_of

pytestmark = pytest.mark.anyio

BEGIN = datetime(2025, 12, 30, 20, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request, sqlite_template, tmp_path) -> str:
    """A database of its own, since the test changes the tables."""
    if request.param == "postgresql":
        return request.getfixturevalue("postgres").url(request.getfixturevalue("postgres_database"))
    shutil.copy(sqlite_template, tmp_path / "shoal.db")
    return f"sqlite:///{tmp_path / 'shoal.db'}"


def hours() -> list[dict[str, object]]:
    chance = random.Random(3)
    return [
        {
            "tenant_id": f"tn_{tenant}", "tenant_name": f"Tenant {tenant}{'' if hour < 60 else ', renamed'}",
            "key_id": chance.choice(("k1", "k2")), "model": chance.choice(("org/m", "org/n")),
            "endpoint": "/v1/embeddings", "lane": "interactive", "hour": BEGIN + timedelta(hours=hour),
            **{name: chance.randrange(9) for name in COUNTED},
        }
        for tenant in range(3)
        for hour in range(0, 80, 7)
    ]  # fmt: skip


async def test_they_are_what_would_have_been_summed_all_along(database_url) -> None:
    rows = hours()
    await schema.downgrade(database_url, "0007")
    database = Database.open(database_url)
    async with database.transaction() as session:
        await session.execute(insert(UsageHour), rows)
    await schema.upgrade(database_url)
    days = days_of(rows)
    async with database.reading() as session:
        found = [row.model_dump() for row in (await session.scalars(select(UsageDay))).all()]
        totals = [row.model_dump() for row in (await session.scalars(select(UsageTotal))).all()]
    await database.close()
    place = lambda row: (row["tenant_id"], row["day"], row["key_id"], row["model"])  # noqa: E731
    assert sorted(found, key=place) == list(days)
    of = lambda row: (row["kind"], row["start"], row["name"])  # noqa: E731
    assert sorted(totals, key=of) == list(totals_of(days))
    names = [(row["start"].year, row["name"]) for row in totals if row["kind"] == "year_tenant" and "0" in row["name"]]
    assert sorted(names) == [(2025, "tn_0/Tenant 0"), (2026, "tn_0/Tenant 0"), (2026, "tn_0/Tenant 0, renamed")]


async def test_without_sums_of_years_all_others_stay(database_url) -> None:
    await schema.downgrade(database_url, "0007")
    database = Database.open(database_url)
    async with database.transaction() as session:
        await session.execute(insert(UsageHour), hours())
    await schema.upgrade(database_url)
    await schema.downgrade(database_url, "0008")
    async with database.reading() as session:
        kinds = set((await session.scalars(select(UsageTotal.kind))).all())
    await database.close()
    assert kinds == {"day", "model", "tenant", "key"}
