import asyncio
import shutil
import sqlite3
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError, StatementError

from gateway.db import queries, session
from gateway.db.errors import DatabaseBusy, DatabaseCorrupt, DatabaseNotMigrated, DatabaseUnreachable, explain
from gateway.db.session import Database, parse_url
from gateway.db.tables import ApiKey, ModelGrant, Operator, Tenant
from gateway.services.register.audit import Actor, begin_change, record

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)


def tenant(number: int = 1) -> Tenant:
    return Tenant(id=f"tn_{number}", name=f"tenant {number}", created_at=NOW)


def key(number: int, tenant_id: str) -> ApiKey:
    return ApiKey(
        id=f"key{number}",
        tenant_id=tenant_id,
        lineage=f"key{number}",
        name="k",
        secret_sha256=b"\0" * 32,
        created_at=NOW,
    )


async def change_something(it) -> None:
    await begin_change(it)
    record(it, Actor("tests", "tests"), "model.pin", "org/m")


async def test_a_transaction_keeps_all_at_its_end_and_nothing_when_it_raises(database) -> None:
    async with database.transaction() as it:
        it.add(tenant(1))

    async def fail() -> None:
        async with database.transaction() as it:
            it.add(tenant(2))
            await it.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    async with database.reading() as it:
        assert [row.id for row in await queries.tenants(it)] == ["tn_1"]


async def test_changes_at_once_wait_for_each_other_and_none_is_lost(database_url) -> None:
    one, other = Database.open(database_url), Database.open(database_url)

    async def change(database: Database) -> None:
        async with database.transaction() as it:
            await change_something(it)

    await asyncio.gather(*(change(database) for database in [one, other] * 10))
    async with one.reading() as it:
        assert await queries.policy_revision(it) == 20
    await one.close()
    await other.close()


async def test_a_reader_sees_one_moment_whatever_is_written_meanwhile(database) -> None:
    async with database.reading() as reader:
        before = await queries.policy_revision(reader)
        async with database.transaction() as writer:
            await change_something(writer)
            writer.add(tenant())
        assert await queries.policy_revision(reader) == before
        assert await queries.tenants(reader) == []
    async with database.reading() as reader:
        assert await queries.policy_revision(reader) == before + 1


async def test_what_belongs_to_a_tenant_goes_with_it(database) -> None:
    async with database.transaction() as it:
        it.add(tenant())
        await it.flush()
        it.add(key(1, "tn_1"))
        await it.flush()
        it.add(ModelGrant(tenant_id="tn_1", key_id="key1", pattern="*"))
        await it.flush()
        await it.delete(await queries.tenant(it, "tn_1"))
        await it.flush()
        assert await queries.keys(it, "tn_1") == []
        assert await queries.grants(it, "tn_1") == []


async def test_the_database_itself_refuses_a_rule_on_another_tenants_key(database) -> None:
    async with database.transaction() as it:
        it.add_all([tenant(1), tenant(2)])
        await it.flush()
        it.add(key(1, "tn_1"))
    with pytest.raises(IntegrityError):
        async with database.transaction() as it:
            it.add(ModelGrant(tenant_id="tn_2", key_id="key1", pattern="*"))


async def test_times_come_back_aware_and_in_utc(database) -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    async with database.transaction() as it:
        it.add(Tenant(id="tn_1", name="one", created_at=elsewhere))
    async with database.reading() as it:
        row = await queries.tenant(it, "tn_1")
    assert (row.created_at, row.created_at.utcoffset()) == (NOW, timedelta(0))


async def test_a_time_without_a_zone_is_refused(database) -> None:
    with pytest.raises(StatementError, match="has no time zone"):
        async with database.transaction() as it:
            it.add(Tenant(id="tn_1", name="one", created_at=NOW.replace(tzinfo=None)))


async def test_a_lock_that_somebody_else_keeps_is_said(sqlite_template, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(session, "BUSY_TIMEOUT", 0.01)
    path = tmp_path / "shoal.db"
    path.write_bytes(sqlite_template.read_bytes())
    database = Database.open(f"sqlite:///{path}")
    other = sqlite3.connect(path)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseBusy, match="locked by another process; try again"):
        async with database.transaction() as it:
            await begin_change(it)
    async with database.reading() as it:
        assert await queries.policy_revision(it) == 0
    other.close()
    await database.close()


async def test_a_database_without_tables_is_said(tmp_path) -> None:
    database = Database.open(f"sqlite:///{tmp_path / 'empty.db'}")
    with pytest.raises(DatabaseNotMigrated, match="run: shoal migrate"):
        async with database.reading() as it:
            await queries.tenants(it)
    await database.close()


def test_a_server_that_comes_back_is_used_again(postgres, postgres_database) -> None:
    async def use() -> None:
        database = Database.open(postgres.url(postgres_database))
        async with database.reading() as it:
            await queries.tenants(it)
        await asyncio.to_thread(
            postgres.admin,
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{postgres_database}'",
        )
        async with database.reading() as it:
            await queries.tenants(it)
        await asyncio.to_thread(
            postgres.admin,
            f"ALTER DATABASE {postgres_database} ALLOW_CONNECTIONS false",
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{postgres_database}'",
        )
        with pytest.raises(DatabaseUnreachable, match="can not be reached"):
            async with database.reading() as it:
                await queries.tenants(it)
        await database.close()

    asyncio.run(use())


async def test_a_file_that_is_moved_away_in_use_is_said_until_it_is_back(sqlite_template, tmp_path) -> None:
    file, away = tmp_path / "shoal.db", tmp_path / "away.db"
    shutil.copy(sqlite_template, file)
    database = Database.open(f"sqlite:///{file}")
    async with database.reading() as it:
        await queries.tenants(it)
    file.rename(away)
    with pytest.raises(DatabaseUnreachable, match="deleted or replaced"):
        async with database.transaction() as it:
            it.add(tenant(1))
    assert not file.exists()
    shutil.copy(away, file)  # another file of that name: what is written would be in neither
    with pytest.raises(DatabaseUnreachable, match="start again"):
        async with database.reading() as it:
            await queries.tenants(it)
    away.rename(file)
    async with database.transaction() as it:
        it.add(tenant(1))
    await database.close()


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("sqlite:////data/shoal.db", "sqlite+aiosqlite:////data/shoal.db"),
        ("sqlite+aiosqlite:///shoal.db", "sqlite+aiosqlite:///shoal.db"),
        ("postgres://u:p@host/name", "postgresql+asyncpg://u:p@host/name"),
        ("postgresql+psycopg://u:p@host:1/name", "postgresql+asyncpg://u:p@host:1/name"),
        ("postgresql://u:p@host/name?sslmode=require", "postgresql+asyncpg://u:p@host/name?ssl=require"),
    ],
)
def test_any_usual_address_gets_the_async_driver(given, used) -> None:
    assert parse_url(given).render_as_string(hide_password=False) == used


@pytest.mark.parametrize(
    "error", [ValueError("database is locked"), KeyError("no such table"), RuntimeError("does not exist")]
)
def test_only_the_drivers_errors_are_explained(error) -> None:
    assert explain(error, parse_url("sqlite:///x")) is None


def test_every_error_of_the_database_is_a_503_with_a_message() -> None:
    for kind in (DatabaseBusy, DatabaseCorrupt, DatabaseUnreachable):
        assert (kind("why").status, kind("why").message) == (503, "why")


async def test_an_error_of_the_database_says_nothing_of_what_was_stored(database: Database) -> None:
    """Errors are logged, and rows hold hashes of passwords."""
    row = Operator(name="ada", password_hash="$argon2id$kept", role="admin", created_at=datetime.now(UTC))

    async def store_twice() -> None:
        async with database.transaction() as it:
            it.add(row)
            await it.flush()
            await it.execute(insert(Operator).values(row.model_dump()))

    with pytest.raises(IntegrityError) as failed:
        await store_twice()
    assert "$argon2id$kept" not in str(failed.value)
