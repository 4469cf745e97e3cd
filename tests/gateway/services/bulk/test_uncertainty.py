"""Whenever a gateway dies, and whatever it is not told: bytes that count stay, others go."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from sqlmodel import select

from gateway.db.errors import DatabaseUnreachable
from gateway.db.tables import File
from gateway.errors import Unavailable
from gateway.services.bulk.batches import create_batch
from gateway.services.bulk.files import add_file, content_of, find_file, parts_here
from gateway.services.bulk.held import HeldBatch, LeaseLost, Place
from gateway.services.bulk.local_storage import LocalStorage
from gateway.services.bulk.results import Results
from gateway.services.bulk.sweeping import NEVER_SHOWN, Sweeper
from gateway.services.register.tenants import create_tenant

pytestmark = pytest.mark.anyio


@pytest.fixture
async def tenant(database, actor):
    async with database.transaction() as session:
        return (await create_tenant(session, actor, "acme")).id


@pytest.fixture
def storage(tmp_path):
    return LocalStorage.open(tmp_path)


class Silent:
    """A database that stops answering with this transaction: before it, or once it is committed."""

    def __init__(self, database, at, *, committed):
        self._database, self._left, self._committed = database, at, committed
        self.reading = database.reading

    @asynccontextmanager
    async def transaction(self):
        self._left -= 1
        if self._left < 0 or (self._left == 0 and not self._committed):
            raise DatabaseUnreachable("silence")
        async with self._database.transaction() as session:
            yield session
        if self._left == 0:
            raise DatabaseUnreachable("silence")


async def upload(database, storage, tenant, keep=None):
    async with storage.incoming() as coming:
        await coming.write(b"text")
        coming.keep = keep(coming.keep) if keep else coming.keep
        return await add_file(database, storage, tenant, coming, filename="x", lifetime=None, most_stored=100)


async def rows(database):
    async with database.reading() as session:
        return list(await session.scalars(select(File)))


async def age(database):
    async with database.transaction() as session:
        for row in await session.scalars(select(File)):
            row.created_at = datetime.now(UTC) - NEVER_SHOWN - timedelta(minutes=1)


def objects(storage):
    return [path for path in (storage.folder / "objects").rglob("*") if path.is_file()]


async def test_an_upload_that_was_committed_without_a_word_keeps_its_bytes(database, storage, tenant):
    with pytest.raises(DatabaseUnreachable):
        await upload(Silent(database, 2, committed=True), storage, tenant)
    (row,) = await rows(database)
    await age(database)
    await Sweeper(database, storage).sweep()
    parts = await parts_here(database, storage, await find_file(database, tenant, row.id))
    assert b"".join([piece async for piece in content_of(storage, parts)]) == b"text"


async def test_what_a_dead_gateway_uploaded_and_did_not_commit_goes_after_a_day(database, storage, tenant):
    with pytest.raises(DatabaseUnreachable):
        await upload(Silent(database, 2, committed=False), storage, tenant)
    sweeper = Sweeper(database, storage)
    await sweeper.sweep()
    assert len(objects(storage)) == len(await rows(database)) == 1  # its commit may be under way
    await age(database)
    await sweeper.sweep()
    assert objects(storage) == await rows(database) == []


async def test_a_commit_that_comes_after_a_day_is_refused_and_leaves_nothing(database, storage, tenant):
    def late(keep):
        async def kept(key):
            await age(database)
            await Sweeper(database, storage).sweep()
            await keep(key)

        return kept

    with pytest.raises(Unavailable, match="took too long"):
        await upload(database, storage, tenant, late)
    assert objects(storage) == await rows(database) == []


async def test_an_upload_that_fails_is_forgotten_at_once(database, storage, tenant):
    def broken(keep):
        async def kept(key):
            raise Unavailable("no disk")

        return kept

    with pytest.raises(Unavailable, match="no disk"):
        await upload(database, storage, tenant, broken)
    await Sweeper(database, storage).sweep()
    assert await rows(database) == []


@pytest.mark.parametrize("made", [True, False])
async def test_results_whose_step_was_made_without_a_word_stay_though_the_lease_is_lost(
    database, storage, tenant, monkeypatch, made
):
    source = await upload(database, storage, tenant)
    await create_batch(
        database, tenant, "key", endpoint="/v1/embeddings", input_file_id=source.id, labels=None,
        output_lifetime=None, most_stored=1000,
    )  # fmt: skip
    held = await HeldBatch.claim(database, storage.id, ())
    await held.begin(1, "m")
    advance = held.advance

    async def lose(step):
        if made:
            await advance(step)
        raise LeaseLost

    monkeypatch.setattr(held, "advance", lose)
    with pytest.raises(LeaseLost):
        await Results(held, SimpleNamespace(storage=storage, most_stored=1000)).step(Place(1, 4), output=[b"{}\n"])
    there = await storage.keys(held.row.output_file_id)
    assert there == [part.key for part in await held.parts_of(held.row.output_file_id)]
    assert len(there) == made
