"""From the spool into the database: once, summed by the hour, whatever happens on the way."""

import asyncio
import gc
import random
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from sqlmodel import select
from structlog.testing import capture_logs

from gateway.db.errors import DatabaseUnreachable
from gateway.db.tables import UsageHour, UsageRecord
from gateway.services.ids import uuid7
from gateway.services.snapshot.entries import KeyEntry, TenantEntry
from gateway.services.usage import shipping
from gateway.services.usage.event import packed
from gateway.services.usage.ledger import enter, hour_of
from gateway.services.usage.recorder import UsageEvent, UsageRecorder
from gateway.services.usage.shipping import ship, ship_abandoned
from gateway.services.usage.spool import Spool

pytestmark = pytest.mark.anyio

NOON = datetime(2028, 2, 29, 12, tzinfo=UTC)
PLACE = ("tenant_id", "hour", "key_id", "model", "endpoint", "lane")
SUMMED = ("inputs", "tokens", "bytes_in", "bytes_out", "latency_ms", "upstream_ms")


def event(**options) -> UsageEvent:
    facts = {
        "tenant_id": "tn_1", "tenant_name": "acme", "key_id": "key1", "model": "org/m", "revision": "abc",
        "endpoint": "/v1/embeddings", "status": 200, "inputs": 2, "tokens": 7, "bytes_in": 40, "bytes_out": 900,
        "latency_ms": 1.5, "upstream_ms": 1.25, "request_id": "req_1", "time": NOON,
    }  # fmt: skip
    return UsageEvent(**facts | options)


def some_events(count: int, seed: int = 1) -> list[UsageEvent]:
    chance = random.Random(seed)
    return [
        event(
            tenant_id=f"tn_{chance.randrange(3)}",
            key_id=f"key{chance.randrange(2)}",
            model=chance.choice(["org/m", "org/größer"]),
            status=chance.choice([200, 200, 499, 500]),
            lane=chance.choice(["interactive", "bulk"]),
            tokens=chance.randrange(10**6),
            latency_ms=chance.randrange(1000) / 4,
            time=NOON + timedelta(minutes=chance.randrange(-200, 200)),
        )
        for _ in range(count)
    ]


async def rows(database, table) -> list:
    async with database.reading() as session:
        return list((await session.scalars(select(table))).all())


async def hours(database) -> dict[tuple, UsageHour]:
    return {tuple(getattr(row, name) for name in PLACE): row for row in await rows(database, UsageHour)}


async def assert_the_sums_are_those_of_the_records(database) -> None:
    expected: dict[tuple, list[float]] = {}
    for row in await rows(database, UsageRecord):
        place = (row.tenant_id, hour_of(row.time), row.key_id, row.model, row.endpoint, row.lane)
        numbers = [1, int(row.status >= 400), *(getattr(row, name) for name in SUMMED)]
        expected[place] = [a + b for a, b in zip(expected.get(place, [0] * 8), numbers, strict=True)]
    found = await hours(database)
    assert {
        place: [getattr(row, name) for name in ("requests", "failed", *SUMMED)]
        for place, row in found.items()
        if row.requests
    } == expected


async def test_the_sums_per_hour_are_those_of_the_records_however_often_they_are_sent(database) -> None:
    events = some_events(300)
    assert await enter(database, events[:200]) == 200
    assert await enter(database, events[100:]) == 100
    assert await enter(database, [*events[:10], events[0]]) == 0
    assert len(await rows(database, UsageRecord)) == 300
    await assert_the_sums_are_those_of_the_records(database)


async def test_a_batch_that_fails_half_way_leaves_neither_records_nor_sums(database, monkeypatch) -> None:
    async def broken(session, rows) -> None:
        raise DatabaseUnreachable("gone")

    events = some_events(20)
    with monkeypatch.context() as patch:
        patch.setattr("gateway.services.usage.ledger.add_to_hours", broken)
        with pytest.raises(DatabaseUnreachable):
            await enter(database, events)
    assert await rows(database, UsageRecord) == []
    await enter(database, events)
    await assert_the_sums_are_those_of_the_records(database)


async def test_an_hour_ends_where_the_next_begins_and_zones_do_not_matter(database) -> None:
    offsets = (-timedelta(microseconds=1), timedelta(0), timedelta(minutes=59, seconds=59), timedelta(hours=1))
    half = timezone(timedelta(hours=5, minutes=30))
    await enter(database, [event(time=(NOON + offset).astimezone(half)) for offset in offsets])
    found = {place[1]: row.requests for place, row in (await hours(database)).items()}
    assert found == {NOON - timedelta(hours=1): 1, NOON: 2, NOON + timedelta(hours=1): 1}


async def test_a_clock_that_jumps_changes_hours_and_nothing_else(database) -> None:
    jumps = [event(time=NOON + timedelta(days=days)) for days in (0, -4000, 0, 4000, 0)]
    assert await enter(database, jumps) == 5
    assert {place[1]: row.requests for place, row in (await hours(database)).items()} == {
        NOON: 3, NOON - timedelta(days=4000): 1, NOON + timedelta(days=4000): 1,
    }  # fmt: skip


async def test_the_sums_bear_the_last_name_of_a_tenant(database) -> None:
    await enter(database, [event()])
    await enter(database, [event(tenant_name="acme & söhne")])
    [row] = await rows(database, UsageHour)
    assert (row.tenant_name, row.requests) == ("acme & söhne", 2)


async def test_gateways_that_write_at_once_neither_lock_each_other_nor_lose_a_count(database) -> None:
    batches = [some_events(60, seed) for seed in range(8)]
    await asyncio.gather(*(enter(database, batch) for batch in [*batches, *batches]))
    assert len(await rows(database, UsageRecord)) == 480
    await assert_the_sums_are_those_of_the_records(database)


async def test_what_was_refused_is_counted_and_not_billed(database, monkeypatch) -> None:
    tenant = TenantEntry(id="tn_1", name="acme", suspended=False, grants=(), limits=())
    key = KeyEntry(
        id="key1", name="k", secret_sha256=b"", tenant=tenant, expires_at=None, revoked=False, grants=(), limits=()
    )
    recorder = UsageRecorder(database)

    async def broken(database, refused) -> None:
        raise DatabaseUnreachable("gone")

    recorder.refused(key, "org/m", "/v1/embeddings", "bulk")
    with monkeypatch.context() as patch:
        patch.setattr("gateway.services.usage.recorder.enter_refused", broken)
        with pytest.raises(DatabaseUnreachable):
            await recorder.flush()
    recorder.refused(key, "org/m", "/v1/embeddings", "bulk")
    recorder.refused(key, "", "/v1/embeddings", "interactive")
    await recorder.flush()
    await recorder.flush()
    found = {(row.model, row.lane): (row.refused, row.requests, row.tokens) for row in await rows(database, UsageHour)}
    assert found == {("org/m", "bulk"): (2, 0, 0), ("", "interactive"): (1, 0, 0)}
    assert await rows(database, UsageRecord) == []
    await recorder.close()


async def test_a_living_gateway_ships_what_a_dead_one_left(database, tmp_path) -> None:
    dead, living = Spool.open(tmp_path), Spool.open(tmp_path)
    busy = Spool.open(tmp_path)
    recorder, other = UsageRecorder(database, dead), UsageRecorder(database, busy)
    for one in some_events(30):
        recorder.record(one)
    other.record(event())
    with capture_logs() as logs:
        await ship_abandoned(database, living)
        assert await rows(database, UsageRecord) == []
        dead.close()
        await ship_abandoned(database, living)
    assert len(await rows(database, UsageRecord)) == 30
    await assert_the_sums_are_those_of_the_records(database)
    assert [(entry["event"], entry["records"]) for entry in logs] == [
        ("usage of a process that is gone is written", 30)
    ]
    assert [path.name for path in dead.slot.iterdir()] == ["lock"]
    living.close()
    await other.close()


async def test_what_was_shipped_and_not_yet_marked_so_is_not_billed_again(database, tmp_path, monkeypatch) -> None:
    recorder = UsageRecorder(database, Spool.open(tmp_path))
    for one in some_events(30):
        recorder.record(one)

    def killed(batch) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(recorder._spool, "release", killed)
        with pytest.raises(KeyboardInterrupt):
            await recorder.flush()
    recorder._spool.close()
    after = UsageRecorder(database, Spool.open(tmp_path))
    assert after.waiting == 30
    await after.close()
    assert len(await rows(database, UsageRecord)) == 30
    await assert_the_sums_are_those_of_the_records(database)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_record_that_the_database_will_never_take_is_kept_aside_and_holds_up_nobody(database, tmp_path) -> None:
    recorder = UsageRecorder(database, Spool.open(tmp_path))
    events = some_events(9)
    for one in [*events[:4], event(model="nul\0"), *events[4:]]:
        recorder.record(one)
    with capture_logs() as logs:
        await recorder.close()
    assert len(await rows(database, UsageRecord)) == 9
    await assert_the_sums_are_those_of_the_records(database)
    [entry] = logs
    assert (entry["event"], entry["log_level"]) == ("a record can not be billed; its file is kept", "error")
    assert [path.suffix for path in tmp_path.glob("0/0*")] == [".damaged"]


async def test_what_this_version_does_not_understand_is_kept_aside_and_holds_up_nobody(database, tmp_path) -> None:
    spool = Spool.open(tmp_path)
    spool.append(msgspec.msgpack.encode({"format": "of another version"}))
    spool.append(packed(event()))
    with capture_logs() as logs:
        await ship(database, spool)
        spool.close()
    assert len(await rows(database, UsageRecord)) == 1
    assert [entry["event"] for entry in logs] == ["a record can not be billed; its file is kept"]
    assert [path.suffix for path in tmp_path.glob("0/0*")] == [".damaged"]


async def test_a_record_of_an_older_version_is_understood(database, tmp_path) -> None:
    old = msgspec.to_builtins(event(), builtin_types=(datetime,))
    for name in ("bytes_out", "upstream_ms", "request_id"):
        del old[name]
    spool = Spool.open(tmp_path)
    spool.append(msgspec.msgpack.encode(old | {"added_by_a_newer_one": 1}))
    await ship(database, spool)
    [row] = await rows(database, UsageRecord)
    assert (row.tokens, row.bytes_out, row.request_id) == (7, 0, "")
    spool.close()


async def test_while_the_database_is_away_records_are_on_disk_and_not_in_memory(tmp_path) -> None:
    class Away:
        def transaction(self):
            raise DatabaseUnreachable("gone")

    recorder = UsageRecorder(Away(), Spool.open(tmp_path, 64 * 2**20))
    held: list[int] = []
    for _ in range(4):
        for _ in range(5000):
            recorder.record(event())
        recorder._spool.keep()
        with pytest.raises(DatabaseUnreachable):
            await recorder.flush()
        held.append(sum(1 for one in gc.get_objects() if type(one) is UsageEvent))
    assert recorder.waiting == 20_000
    assert recorder.spool_bytes > 20_000 * 200
    assert max(held) <= shipping.BATCH
    recorder._spool.close()


async def test_the_age_of_the_oldest_record_is_known_while_it_waits(database, tmp_path) -> None:
    recorder = UsageRecorder(database, Spool.open(tmp_path))
    assert recorder.oldest_seconds == 0
    recorder.record(event(time=datetime.now(UTC) - timedelta(minutes=5)))
    recorder.record(event(time=datetime.now(UTC)))
    assert 300 <= recorder.oldest_seconds < 310
    recorder.record(event(id=uuid7(), time=datetime.now(UTC) + timedelta(days=1)))
    assert 300 <= recorder.oldest_seconds < 310
    await recorder.flush()
    assert recorder.oldest_seconds == 0
    recorder.record(event(time=datetime.now(UTC) + timedelta(days=1)))
    assert recorder.oldest_seconds == 0
    await recorder.close()
