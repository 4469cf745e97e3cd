"""One process at a time works on a batch, and a step counts once, whatever dies when."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func
from sqlmodel import select

from gateway.db.bulk_queries import UNREACHABLE, stored_bytes
from gateway.db.bulk_rows import delete_files
from gateway.db.tables import Batch, File, FilePart, UsageHour, UsageRecord
from gateway.errors import RequestError
from gateway.services.bulk import batches
from gateway.services.bulk import held as held_module
from gateway.services.bulk.answers import identity
from gateway.services.bulk.batches import create_batch
from gateway.services.bulk.held import HeldBatch, LeaseLost, Place, Step
from gateway.services.bulk.local_storage import LocalStorage
from gateway.services.bulk.sweeping import ABANDONED, REMEMBERED, Sweeper
from gateway.services.register.tenants import create_tenant, suspend_tenant
from gateway.services.usage.event import UsageEvent

pytestmark = pytest.mark.anyio


@pytest.fixture
async def tenant(database, actor):
    async with database.transaction() as session:
        return (await create_tenant(session, actor, "acme")).id


@pytest.fixture
async def batch(database, tenant):
    async with database.transaction() as session:
        now = datetime.now(UTC)
        session.add(File(id="file-in", tenant_id=tenant, purpose="batch", filename="x", storage="here", created_at=now))
    return await create_batch(
        database, tenant, "key", endpoint="/v1/embeddings", input_file_id="file-in", labels=None,
        output_lifetime=None, most_stored=1000,
    )  # fmt: skip


def step(held, number, lines=2):
    event = {
        "tenant_id": held.row.tenant_id, "tenant_name": "acme", "key_id": "key", "model": "m", "revision": None,
        "endpoint": "/v1/embeddings", "status": 200, "inputs": 1, "tokens": 3, "bytes_in": 1, "latency_ms": 1.0,
        "lane": "bulk",
    }  # fmt: skip
    usage = [UsageEvent(id=identity(held.row.id, 10 * number + line), **event) for line in range(lines)]
    part = FilePart(file_id=held.row.output_file_id, number=number, key=f"part-{number}", bytes=100)
    return Step(Place(held.row.line + lines, held.row.position + 50), [part], lines, 0, 3 * lines, usage)


async def count(database, table):
    async with database.reading() as session:
        return (await session.execute(select(func.count()).select_from(table))).scalar_one()


async def test_of_many_who_want_it_one_gets_it(database, batch):
    claims = await asyncio.gather(*(HeldBatch.claim(database, "here", ()) for _ in range(5)))
    assert sum(claim is not None for claim in claims) == 1
    assert await HeldBatch.claim(database, "here", ()) is None


async def test_only_who_reaches_its_storage_gets_it(database, batch):
    assert await HeldBatch.claim(database, "elsewhere", ()) is None
    assert await HeldBatch.claim(database, "here", ()) is not None


async def test_another_one_goes_on_where_a_dead_one_stopped(database, batch, monkeypatch):
    monkeypatch.setattr(held_module, "LEASE", timedelta(milliseconds=50))
    first = await HeldBatch.claim(database, "here", ())
    await first.begin(4, "m")
    await first.advance(step(first, 0))
    await asyncio.sleep(0.06)
    second = await HeldBatch.claim(database, "here", ())
    assert (second.row.status, second.place, second.row.completed) == ("in_progress", Place(2, 50), 2)
    for late in (first.advance(step(first, 1)), first.renew(), first.finalize(), first.end("failed", timedelta(1))):
        with pytest.raises(LeaseLost):
            await late
    await first.release()
    await second.advance(step(second, 1))
    await second.finalize()
    await second.end("completed", timedelta(days=1))
    assert (second.row.completed, await count(database, UsageRecord), await count(database, FilePart)) == (4, 4, 2)
    assert await HeldBatch.claim(database, "here", ()) is None


async def test_a_step_that_was_made_and_not_heard_of_is_not_made_again(database, batch):
    held = await HeldBatch.claim(database, "here", ())
    await held.begin(4, "m")
    made = step(held, 0)
    await held.advance(made)
    held.row.chunks, held.row.completed = 0, 0  # as before
    await held.advance(
        Step(*made[:1], [FilePart(file_id=held.row.output_file_id, number=0, key="x", bytes=100)], *made[2:])
    )
    assert (held.row.chunks, held.row.completed) == (1, 2)
    assert (await count(database, UsageRecord), await count(database, FilePart)) == (2, 1)
    async with database.reading() as session:
        assert (await session.execute(select(UsageHour.tokens))).scalar_one() == 6
        assert (await session.get(File, held.row.output_file_id)).bytes == 100


async def test_a_step_that_fails_changes_nothing(database, batch):
    held = await HeldBatch.claim(database, "here", ())
    await held.begin(4, "m")
    wrong = step(held, 0)
    wrong.parts[0].file_id = "file-none"  # which no foreign key allows
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        await held.advance(wrong)
    await held.refresh()
    assert (held.row.chunks, held.row.completed, await count(database, UsageRecord)) == (0, 0, 0)


async def test_files_are_seen_once_they_are_whole_and_only_those_with_lines(database, batch):
    held = await HeldBatch.claim(database, "here", ())
    await held.begin(2, "m")
    await held.advance(step(held, 0))
    async with database.reading() as session:
        assert not (await session.get(File, held.row.output_file_id)).ready
    await held.end("completed", timedelta(days=1))
    async with database.reading() as session:
        made = await session.get(File, held.row.output_file_id)
        assert (made.ready, made.bytes, made.expires_at - made.created_at) == (True, 100, timedelta(days=1))
        assert await session.get(File, held.row.error_file_id) is None


async def test_a_cancelled_batch_is_not_brought_back(database, batch):
    held = await HeldBatch.claim(database, "here", ())
    async with database.transaction() as session:
        (await session.get(Batch, batch.id)).status = "cancelling"
    await held.begin(2, "m")
    assert held.row.status == "cancelling"
    await held.finalize()
    assert (await held.renew()).status == "cancelling"


async def test_a_suspended_tenants_batch_waits_unless_it_only_has_to_end(database, actor, batch, tenant):
    async with database.transaction() as session:
        await suspend_tenant(session, actor, tenant)
    assert await HeldBatch.claim(database, "here", ()) is None
    async with database.transaction() as session:
        (await session.get(Batch, batch.id)).status = "cancelling"
    assert await HeldBatch.claim(database, "here", ()) is not None


async def test_a_batch_is_forgotten_long_after_its_end_and_never_before_its_results(database, batch, tmp_path):
    sweeper = Sweeper(database, LocalStorage.open(tmp_path))
    held = await HeldBatch.claim(database, "here", ())
    await held.begin(2, "m")
    await held.advance(step(held, 0))
    await held.end("completed", timedelta(days=1))

    async def left(**values):
        async with database.transaction() as session:
            for name, value in values.items():
                setattr(await session.get(Batch, batch.id), name, value)
        await sweeper.sweep()
        return await count(database, Batch)

    assert await left(ended_at=datetime.now(UTC) - REMEMBERED - timedelta(days=1)) == 1  # its results are there
    async with database.transaction() as session:
        await delete_files(session, [held.row.output_file_id])
    assert await left(ended_at=datetime.now(UTC) - REMEMBERED + timedelta(days=1)) == 1
    assert await left(status="in_progress", ended_at=None) == 1
    assert await left(status="completed", ended_at=datetime.now(UTC) - REMEMBERED - timedelta(days=1)) == 0


async def test_a_batch_that_nobody_can_work_on_ends_with_what_it_has(database, batch, tenant, tmp_path):
    sweeper = Sweeper(database, LocalStorage.open(tmp_path))  # which is not the batch's
    held = await HeldBatch.claim(database, "here", ())
    await held.begin(4, "m")
    await held.advance(step(held, 0))
    await held.release()
    async with database.transaction() as session:
        (await session.get(Batch, batch.id)).expires_at = datetime.now(UTC) - ABANDONED - timedelta(minutes=1)
    await sweeper.sweep()
    async with database.reading() as session:
        made = await session.get(File, held.row.output_file_id)
        assert (await session.get(Batch, batch.id)).status == "expired"
        assert (made.ready, made.expires_at - made.created_at) == (True, timedelta(days=30))
        assert await session.get(File, held.row.error_file_id) is None


async def test_a_file_whose_storage_nobody_reaches_counts_no_longer_than_a_week(database, batch, tenant):
    async def counted(**values):
        async with database.transaction() as session:
            for name, value in {"bytes": 10, **values}.items():
                setattr(await session.get(File, "file-in"), name, value)
        async with database.reading() as session:
            return await stored_bytes(session, tenant)

    now = datetime.now(UTC)
    long_ago, lately = now - UNREACHABLE - timedelta(minutes=1), now - UNREACHABLE + timedelta(minutes=1)
    assert (
        await counted() == await counted(expires_at=now + timedelta(days=1)) == await counted(expires_at=lately) == 10
    )
    assert await counted(expires_at=long_ago) == 0
    assert await counted(expires_at=now + timedelta(days=1), deleted_at=lately) == 10
    assert await counted(deleted_at=long_ago) == 0


async def test_a_tenant_has_so_many_batches_at_a_time(database, batch, tenant, monkeypatch):
    monkeypatch.setattr(batches, "MOST_BATCHES", 2)
    options = {"endpoint": "e", "input_file_id": "file-in", "labels": None, "output_lifetime": None, "most_stored": 99}
    await create_batch(database, tenant, "key", **options)
    with pytest.raises(RequestError, match="have not ended"):
        await create_batch(database, tenant, "key", **options)
    await (await HeldBatch.claim(database, "here", ())).end("failed", timedelta(days=1))
    await create_batch(database, tenant, "key", **options)


async def test_tenants_take_turns(database, actor, batch, tenant):
    async with database.transaction() as session:
        other = (await create_tenant(session, actor, "other")).id
        now = datetime.now(UTC)
        session.add(File(id="file-o", tenant_id=other, purpose="batch", filename="x", storage="here", created_at=now))
    options = {"endpoint": "/v1/embeddings", "labels": None, "output_lifetime": None, "most_stored": 1000}
    await create_batch(database, tenant, "key", input_file_id="file-in", **options)
    await create_batch(database, other, "key", input_file_id="file-o", **options)
    first = await HeldBatch.claim(database, "here", ())
    second = await HeldBatch.claim(database, "here", (first.row.tenant_id,))
    third = await HeldBatch.claim(database, "here", (tenant, other))
    assert [one.row.tenant_id for one in (first, second, third)] == [tenant, other, tenant]
