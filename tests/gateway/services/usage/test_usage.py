import asyncio
import sqlite3
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest
from structlog.testing import capture_logs

from gateway.db import session, usage_queries
from gateway.db.errors import DatabaseBusy, DatabaseUnreachable
from gateway.db.session import Database
from gateway.services.ids import uuid7
from gateway.services.register.keys import create_key, list_keys
from gateway.services.register.tenants import create_tenant
from gateway.services.usage import shipping
from gateway.services.usage.recorder import KEY_USE_INTERVAL, UsageEvent, UsageRecorder
from gateway.services.usage.spool import Spool

pytestmark = pytest.mark.anyio


def event(**options) -> UsageEvent:
    facts = {
        "tenant_id": "tn_1", "tenant_name": "acme", "key_id": "key1", "model": "org/m", "revision": "abc",
        "endpoint": "/v1/embeddings", "status": 200, "inputs": 2, "tokens": 7, "bytes_in": 40, "latency_ms": 1.5,
        "bytes_out": 900, "upstream_ms": 1.25, "request_id": "req_1", "lane": "bulk",
    }  # fmt: skip
    return UsageEvent(**facts | options)


async def recorded(database, tenant_id="tn_1"):
    long_ago, far_off = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
    async with database.reading() as it:
        return await usage_queries.usage(it, tenant_id, start=long_ago, end=far_off, after=None, limit=10_000)


async def test_what_is_recorded_is_in_the_database_with_every_field(database, until) -> None:
    recorder = UsageRecorder.open(database, interval=0.01)
    sent = event()
    recorder.record(sent)
    await until(lambda: recorder.waiting == 0)
    [row] = await recorded(database)
    assert {name: getattr(row, name) for name in UsageEvent.__struct_fields__} == msgspec.structs.asdict(sent)
    await recorder.close()


async def test_a_record_that_is_sent_again_is_counted_once(database) -> None:
    recorder = UsageRecorder(database)
    sent = [event() for _ in range(3)]
    for one in (*sent, sent[0], sent[0]):
        recorder.record(one)
    await recorder.flush()
    again = UsageRecorder(database)
    for one in (*sent, event(id=sent[1].id, tokens=10**9)):
        again.record(one)
    await again.flush()
    assert sorted(row.tokens for row in await recorded(database)) == [7, 7, 7]


async def test_more_than_one_batch_is_written_whole(database, monkeypatch) -> None:
    monkeypatch.setattr(shipping, "BATCH", 7)
    recorder = UsageRecorder(database)
    sent = [event(tokens=number) for number in range(50)]
    for one in sent:
        recorder.record(one)
    await recorder.flush()
    assert {row.id: row.tokens for row in await recorded(database)} == {one.id: one.tokens for one in sent}


async def test_closing_writes_what_waits(database) -> None:
    recorder = UsageRecorder.open(database, interval=3600)
    recorder.record(event())
    await recorder.close()
    assert len(await recorded(database)) == 1


async def test_two_flushes_at_once_write_each_record_once(database) -> None:
    recorder = UsageRecorder(database)
    for _ in range(20):
        recorder.record(event())
    await asyncio.gather(recorder.flush(), recorder.flush(), recorder.flush())
    assert len(await recorded(database)) == 20


async def test_records_outlive_a_database_that_is_locked(sqlite_template, tmp_path, monkeypatch, until) -> None:
    monkeypatch.setattr(session, "BUSY_TIMEOUT", 0.01)
    path = tmp_path / "shoal.db"
    path.write_bytes(sqlite_template.read_bytes())
    database = Database.open(f"sqlite:///{path}")
    other = sqlite3.connect(path)
    other.execute("BEGIN IMMEDIATE")
    with capture_logs() as logs:
        recorder = UsageRecorder.open(database, interval=0.01)
        recorder.record(event())
        await until(lambda: recorder.failures >= 2)
        assert recorder.waiting == 1
        with pytest.raises(DatabaseBusy):
            await recorder.flush()
        other.rollback()
        await until(lambda: recorder.waiting == 0)
        await recorder.close()
    other.close()
    assert len(await recorded(database)) == 1
    assert [entry["event"] for entry in logs] == ["usage waits: the database is away", "usage is written again"]
    await database.close()


async def test_records_outlive_a_server_that_is_away(postgres, postgres_database, until) -> None:
    database = Database.open(postgres.url(postgres_database))
    recorder = UsageRecorder.open(database, interval=0.01)
    sent = [event() for _ in range(5)]
    close_door = (
        f"ALTER DATABASE {postgres_database} ALLOW_CONNECTIONS false",
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{postgres_database}'",
    )
    recorder.record(sent[0])
    await until(lambda: recorder.waiting == 0)
    await asyncio.to_thread(postgres.admin, *close_door)
    for one in sent:
        recorder.record(one)
    await until(lambda: recorder.failures >= 2)
    assert recorder.waiting == 5
    await asyncio.to_thread(postgres.admin, f"ALTER DATABASE {postgres_database} ALLOW_CONNECTIONS true")
    await until(lambda: recorder.waiting == 0)
    await recorder.close()
    assert sorted(row.id for row in await recorded(database)) == sorted(one.id for one in sent)
    await database.close()


async def test_what_can_not_be_written_at_the_end_is_left_in_the_file_and_said(database, tmp_path) -> None:
    class Away:
        def transaction(self):
            raise DatabaseUnreachable("gone")

    with capture_logs() as logs:
        recorder = UsageRecorder(Away(), Spool.open(tmp_path / "usage"))
        sent = [event(), event()]
        for one in sent:
            recorder.record(one)
        await recorder.close()
    [entry] = logs
    assert (entry["log_level"], entry["records"], entry["why"]) == ("warning", 2, "gone")
    assert entry["folder"] == str(tmp_path / "usage" / "0")
    next_start = UsageRecorder(database, Spool.open(tmp_path / "usage"))
    assert next_start.waiting == 2
    await next_start.close()
    assert sorted(row.id for row in await recorded(database)) == sorted(one.id for one in sent)
    assert [path.name for path in (tmp_path / "usage" / "0").iterdir()] == ["lock"]


async def test_the_last_use_of_a_key_is_written_once_a_minute_and_never_goes_back(write, read, database) -> None:
    await write(create_tenant, "acme")
    key = await write(create_key, "acme")
    now = [0.0]
    recorder = UsageRecorder(database, clock=lambda: now[0])
    recorder.note_use(key.id)
    recorder.note_use("deletedkey00")
    await recorder._flush_what_is_due()
    assert (await read(list_keys, "acme"))[0].last_used_at is None
    now[0] = KEY_USE_INTERVAL
    await recorder._flush_what_is_due()
    [used] = await read(list_keys, "acme")
    assert datetime.now(UTC) - used.last_used_at < timedelta(minutes=1)
    late = UsageRecorder(database)
    late._uses = {key.id: used.last_used_at - timedelta(hours=1)}
    await late.flush()
    assert (await read(list_keys, "acme"))[0].last_used_at == used.last_used_at


def test_ids_of_records_are_unique_ordered_by_time_and_of_version_7() -> None:
    before = datetime.now(UTC)
    made = [uuid7() for _ in range(1000)]
    assert len(set(made)) == 1000
    assert {(one.version, one.variant) for one in made} == {(7, "specified in RFC 4122")}
    stamps = [one.int >> 80 for one in made]
    assert stamps == sorted(stamps)
    assert abs(stamps[0] / 1000 - before.timestamp()) < 60
    assert UUID(str(made[0])) == made[0]
