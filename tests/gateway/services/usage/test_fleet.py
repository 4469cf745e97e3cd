"""What all tenants used together: sums that agree with the records, ranked, in pages, and as a file."""

import asyncio
import csv
import io
import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, update
from sqlmodel import select

from gateway.db.recount import recount
from gateway.db.tables import UsageDay, UsageRecord, UsageTotal
from gateway.services.register.tenants import create_tenant
from gateway.services.usage import fleet
from gateway.services.usage.event import UsageEvent
from gateway.services.usage.fleet import export_fleet_usage, fleet_parts, fleet_usage_by
from gateway.services.usage.ledger import HourKey, enter, enter_refused
from gateway.services.usage.periods import Period
from gateway.services.usage.summary import summarize_usage

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 11, 15, 12, 30, tzinfo=UTC)
DAY, MONTH, YEAR = (Period.parse(name) for name in ("2026-11-15", "2026-11", "2026"))


def event(tenant: str, key: str, model: str, tokens: int, days: int = 0, **options) -> UsageEvent:
    facts = {"revision": None, "endpoint": "/v1/embeddings", "status": 200, "inputs": 1, "bytes_in": 5}
    named = {"tenant_id": tenant, "tenant_name": f"{tenant} Ltd", "key_id": key, "model": model, "tokens": tokens}
    return UsageEvent(latency_ms=2.0, **{"time": NOON - timedelta(days=days), **facts, **named, **options})


EVENTS = [
    event("tn_a", "a1", "org/small", 100),
    event("tn_a", "a1", "org/large", 50, endpoint="/v1/rerank", lane="bulk"),
    event("tn_a", "a2", "org/small", 7, days=14),
    event("tn_b", "b1", "org/small", 400, days=15, status=503),
    event("tn_c", "c1", "org/large", 57, days=1),
    event("tn_b", "playground", "org/large", 3),
    event("tn_a", "playground", "org/large", 4),
]


@pytest.fixture
async def used(database):
    await enter(database, EVENTS[:3])
    await enter(database, EVENTS)
    hour = NOON.replace(minute=0)
    await enter_refused(database, {HourKey("tn_c", hour, "c1", "org/large", "/v1/embeddings", "bulk"): ("tn_c Ltd", 9)})
    return database


async def ranking(database, period, kind, **options) -> list[tuple[str, int]]:
    async with database.reading() as session:
        rows = await fleet_usage_by(session, period, kind, **{"limit": 50, **options})
    return [(row.used.name, row.used.tokens) for row in rows]


async def test_every_sum_of_sums_agrees_with_the_records(used) -> None:
    async with used.reading() as session:
        records = (await session.scalars(select(UsageRecord))).all()
        days = (await session.scalars(select(UsageDay))).all()
        totals = (await session.scalars(select(UsageTotal))).all()
    assert sum(row.tokens for row in days) == sum(row.tokens for row in records) == 621
    for kind in ("day", "model", "tenant", "key", "year_model", "year_tenant", "year_key"):
        mine = [row for row in totals if row.kind == kind]
        assert [
            sum(getattr(row, name) for row in mine) for name in ("requests", "failed", "refused", "inputs", "tokens")
        ] == [7, 1, 9, 7, 621], kind
        assert sum(row.latency_ms for row in mine) == 14.0


async def test_who_and_what_used_most_in_a_day_a_month_and_a_year(used) -> None:
    assert await ranking(used, DAY, "tenant") == [("tn_a", 154), ("tn_b", 3), ("tn_c", 0)]
    assert await ranking(used, MONTH, "tenant") == [("tn_a", 161), ("tn_c", 57), ("tn_b", 3)]
    assert await ranking(used, YEAR, "tenant") == [("tn_b", 403), ("tn_a", 161), ("tn_c", 57)]
    assert await ranking(used, YEAR, "model") == [("org/small", 507), ("org/large", 114)]
    assert await ranking(used, DAY, "model") == [("org/small", 100), ("org/large", 57)]
    assert await ranking(used, Period.parse("2025"), "model") == []


async def test_keys_of_one_name_are_told_apart_by_their_tenants(used) -> None:
    for period in (DAY, MONTH):
        async with used.reading() as session:
            rows = await fleet_usage_by(session, period, "key", limit=50)
        assert [
            (row.used.name, row.tenant_id, row.tenant_name, row.used.tokens)
            for row in rows
            if row.used.name == "playground"
        ] == [("playground", "tn_a", "tn_a Ltd", 4), ("playground", "tn_b", "tn_b Ltd", 3)]


async def test_pages_follow_each_other_without_gap_or_repetition(used) -> None:
    for period, kind in ((YEAR, "key"), (DAY, "key"), (MONTH, "tenant"), (YEAR, "model")):
        whole = await ranking(used, period, kind)
        after, found = None, []
        while True:
            async with used.reading() as session:
                page = await fleet_usage_by(session, period, kind, after=after, limit=1)
            if not page:
                break
            [row] = page
            found.append((row.used.name, row.used.tokens))
            after = (row.used.tokens, row.place)
        assert found == whole


async def test_a_search_finds_parts_of_names_and_of_tenants_and_nothing_by_a_pattern(used) -> None:
    assert await ranking(used, MONTH, "model", like="LARGE") == [("org/large", 114)]
    assert await ranking(used, DAY, "tenant", like="_b ltd") == [("tn_b", 3)]
    assert [name for name, _ in await ranking(used, MONTH, "key", like="tn_c")] == ["c1"]
    for nothing in ("%", "o_g", "\0"):
        assert await ranking(used, MONTH, "model", like=nothing) == []


async def test_a_tenant_that_was_renamed_is_found_by_both_names_with_all_that_it_used(database) -> None:
    await enter(database, [event("tn_a", "a1", "m", 1, days=40, tenant_name="Old"), event("tn_a", "a1", "m", 2)])
    assert await ranking(database, YEAR, "tenant", like="old") == [("tn_a", 3)]
    assert await ranking(database, YEAR, "tenant", like="tn_a ltd") == [("tn_a", 3)]


async def test_a_tenant_that_was_renamed_in_the_middle_of_a_month_is_one_line_of_the_year(database) -> None:
    await enter(database, [event("tn_a", "a1", "m", 1, days=2, tenant_name="Old"), event("tn_b", "b1", "m", 2)])
    await enter(database, [event("tn_a", "a1", "m", 4, tenant_name="New")])
    assert await ranking(database, YEAR, "tenant") == [("tn_a", 5), ("tn_b", 2)]
    for name in ("old", "new"):
        assert await ranking(database, YEAR, "tenant", like=name) == [("tn_a", 5)]
        assert await ranking(database, YEAR, "key", like=name) == [("a1", 5)]


@pytest.mark.parametrize("anew", [False, True], ids=["as it came", "made anew"])
async def test_every_search_and_page_is_that_of_a_plain_computation(database, anew) -> None:
    chance, names = random.Random(5), ("Atlas", "atlantic 100 %", "Harbour", "Ünal & Co")
    events = []
    for _ in range(150):
        tenant, days = chance.randrange(9), chance.choice((0, 0, 3, 14, 40, 330))
        month = (NOON - timedelta(days=days)).month
        called = {"tenant_name": names[(tenant + (month < 11) * (tenant % 3)) % 4]}  # some are renamed in November
        key, model = f"k{tenant}{chance.randrange(2)}", f"org/{chance.choice(('small', 'large', 'atlas'))}"
        events.append(event(f"tn_{tenant}", key, model, chance.randrange(3), days=days, **called))
    await enter(database, events)
    if anew:
        async with database.transaction() as session:
            await recount(session)
    for period in (DAY, MONTH, Period.parse("2026-10"), YEAR, Period.parse("2025")):
        for kind in ("model", "tenant", "key"):
            for like in ("", "atla", "0", "tn_", "_", "%", "TN_3", "unal", "o", "nobody"):
                expected = plainly(events, period, kind, like)
                assert await in_pages(database, period, kind, like, 4) == expected, (period, kind, like)


def plainly(events, period, kind, like) -> list[tuple[str, int]]:
    """What stands in which place with how many tokens, of single events."""
    sums, names, owners = Counter(), {}, {}
    for one in (one for one in events if period.start <= one.time.date() < period.end):
        place = {"model": one.model, "tenant": one.tenant_id, "key": f"{one.tenant_id}/{one.key_id}"}[kind]
        sums[place] += one.tokens
        names.setdefault(one.tenant_id, set()).add(one.tenant_name.lower())
        owners[place] = None if kind == "model" else one.tenant_id
    found = [
        (place, tokens)
        for place, tokens in sums.items()
        if any(like.lower() in name for name in (place.lower(), *names.get(owners[place], ())))
    ]
    return sorted(found, key=lambda row: (-row[1], row[0]))


async def in_pages(database, period, kind, like, size) -> list[tuple[str, int]]:
    """The same by the program, so many at once."""
    found, after = [], None
    while True:
        async with database.reading() as session:
            page = await fleet_usage_by(session, period, kind, like=like, after=after, limit=size)
        found += [(row.place, row.used.tokens) for row in page]
        if len(page) < size:
            return found
        after = (page[-1].used.tokens, page[-1].place)


async def test_parts_are_days_of_a_month_and_months_of_a_year(used) -> None:
    async with used.reading() as session:
        found = {
            period.name: [(row.name, row.tokens, row.refused) for row in await fleet_parts(session, period)]
            for period in (DAY, MONTH, YEAR)
        }
    assert found == {
        "2026-11-15": [("2026-11-15", 157, 9)],
        "2026-11": [("2026-11-01", 7, 0), ("2026-11-14", 57, 0), ("2026-11-15", 157, 9)],
        "2026": [("2026-10", 400, 0), ("2026-11", 221, 9)],
    }


async def test_the_file_has_every_day_tenant_key_and_model_in_pages(used, monkeypatch) -> None:
    monkeypatch.setattr(fleet, "PAGE", 2)
    text = "".join([piece async for piece in export_fleet_usage(used, MONTH)])
    lines = list(csv.DictReader(io.StringIO(text)))
    assert tuple(lines[0]) == fleet.COLUMNS
    assert [(line["day"], line["key_id"], line["model"], line["tokens"]) for line in lines] == [
        ("2026-11-01", "a2", "org/small", "7"),
        ("2026-11-14", "c1", "org/large", "57"),
        ("2026-11-15", "a1", "org/large", "50"),
        ("2026-11-15", "a1", "org/small", "100"),
        ("2026-11-15", "playground", "org/large", "4"),
        ("2026-11-15", "playground", "org/large", "3"),
        ("2026-11-15", "c1", "org/large", "0"),
    ]
    assert [piece async for piece in export_fleet_usage(used, Period.parse("2020"))] == [
        ",".join(fleet.COLUMNS) + "\n",
        "",
    ]


async def test_a_tenants_summary_is_the_same_however_its_time_is_cut(database, write, read) -> None:
    tenant = await write(create_tenant, "acme")
    moments = [datetime(2026, 11, day, hour, tzinfo=UTC) for day in (1, 2, 3) for hour in (0, 9, 23)]
    options = {"tenant_name": "acme"}
    await enter(
        database,
        [event(tenant.id, "a1", "m", 2**place, time=moment, **options) for place, moment in enumerate(moments)],
    )
    cuts = [
        datetime(2026, 11, day, hour, tzinfo=UTC) for day, hour in ((1, 0), (1, 9), (2, 0), (2, 10), (3, 23), (4, 0))
    ]
    for start in cuts:
        for end in (cut for cut in cuts if cut > start):
            expected = sum(2**place for place, moment in enumerate(moments) if start <= moment < end)
            for by in ("day", "model", "key"):
                rows = await read(summarize_usage, "acme", start=start, end=end, by=by)
                assert sum(row.tokens for row in rows) == expected, (start, end, by)
                assert [row.name for row in rows] == sorted({row.name for row in rows})


async def test_made_anew_all_sums_are_what_they_were(used) -> None:
    async def everything() -> list[dict[str, object]]:
        async with used.reading() as session:
            found = [row for table in (UsageDay, UsageTotal) for row in (await session.scalars(select(table))).all()]
        return sorted((row.model_dump() for row in found), key=lambda row: str(sorted(row.items(), key=str)))

    before = await everything()
    async with used.transaction() as session:
        await recount(session)
    assert await everything() == before
    async with used.transaction() as session:
        await session.execute(delete(UsageDay).where(UsageDay.tenant_id == "tn_a"))
        await session.execute(update(UsageTotal).values(tokens=1))
    async with used.transaction() as session:
        await recount(session)
    assert await everything() == before


async def test_what_is_used_while_they_are_made_anew_is_neither_lost_nor_doubled(database) -> None:
    events = [event("tn_a", f"k{n % 5}", f"m{n % 3}", 1, days=n % 4) for n in range(200)]

    async def again() -> None:
        for _ in range(5):
            async with database.transaction() as session:
                await recount(session)

    batches = [events[start : start + 20] for start in range(0, 200, 20)]
    await asyncio.gather(again(), *(enter(database, batch) for batch in batches))
    assert await ranking(database, YEAR, "tenant") == [("tn_a", 200)]
    async with database.reading() as session:
        days = (await session.scalars(select(UsageDay))).all()
    assert sum(row.tokens for row in days) == 200
