import asyncio
import shutil
import sqlite3

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from gateway.db import schema
from gateway.db.errors import (
    DatabaseCorrupt,
    DatabaseNotMigrated,
    DatabaseReadOnly,
    DatabaseTooNew,
    DatabaseUnreachable,
    DatabaseUnusable,
)
from gateway.db.session import create_pool, parse_url
from gateway.db.tables import Row

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request, sqlite_template, tmp_path) -> str:
    """A database of its own, since these tests change the tables."""
    if request.param == "postgresql":
        return request.getfixturevalue("postgres").url(request.getfixturevalue("postgres_database"))
    shutil.copy(sqlite_template, tmp_path / "shoal.db")
    return f"sqlite:///{tmp_path / 'shoal.db'}"


async def look(url, function):
    """What `function` sees on a plain connection."""
    pool = create_pool(parse_url(url))
    async with pool.begin() as connection:
        seen = await connection.run_sync(function)
    await pool.dispose()
    return seen


def names_of_constraints(connection: Connection) -> set[str]:
    found = inspect(connection)
    names = set()
    for table in Row.metadata.tables:
        names |= {index["name"] for index in found.get_indexes(table)}
        names |= {key["name"] for key in found.get_foreign_keys(table)} | {found.get_pk_constraint(table)["name"]}
        names |= {unique["name"] for unique in found.get_unique_constraints(table)}
    return names


def declared_constraints() -> set[str]:
    return {
        part.name
        for table in Row.metadata.tables.values()
        for part in (*table.constraints, *table.indexes)
        if part.name
    }


async def test_the_migrations_make_the_tables_that_the_program_declares(database_url) -> None:
    await schema.check(database_url)
    assert (
        await look(
            database_url,
            lambda it: compare_metadata(MigrationContext.configure(it, opts={"compare_type": True}), Row.metadata),
        )
        == []
    )
    assert await look(database_url, names_of_constraints) == declared_constraints()


async def test_upgrading_again_changes_nothing_and_says_nothing(database_url, capfd, caplog) -> None:
    before = await look(database_url, lambda it: inspect(it).get_table_names())
    await schema.upgrade(database_url)
    assert await look(database_url, lambda it: inspect(it).get_table_names()) == before
    assert capfd.readouterr() == ("", "")
    assert caplog.text == ""


async def test_going_down_removes_every_table_and_up_again_works(database_url) -> None:
    await schema.downgrade(database_url)
    assert await look(database_url, lambda it: inspect(it).get_table_names()) == ["alembic_version"]
    with pytest.raises(DatabaseNotMigrated, match="shoal migrate"):
        await schema.check(database_url)
    await schema.upgrade(database_url)
    await schema.check(database_url)


async def test_processes_that_upgrade_at_once_wait_for_each_other(database_url) -> None:
    await schema.downgrade(database_url)
    await asyncio.gather(*(schema.upgrade(database_url) for _ in range(4)))
    await schema.check(database_url)


async def test_a_newer_database_is_left_alone(database_url) -> None:
    await look(
        database_url, lambda it: it.execute(text("UPDATE alembic_version SET version_num = 'from_the_future'")) and None
    )
    for act in (schema.check, schema.upgrade, schema.downgrade):
        with pytest.raises(DatabaseTooNew, match="newer version of Shoal"):
            await act(database_url)
    assert await look(database_url, lambda it: it.scalar(text("SELECT revision FROM policy_revision"))) == 0


async def test_a_folder_that_is_missing_is_made(tmp_path) -> None:
    url = f"sqlite:///{tmp_path / 'new' / 'folder' / 'shoal.db'}"
    await schema.upgrade(url)
    await schema.check(url)


async def test_a_missing_file_is_said_and_not_made(tmp_path) -> None:
    with pytest.raises(DatabaseNotMigrated, match=r"There is no database at .*shoal\.db yet; run: shoal migrate\."):
        await schema.check(f"sqlite:///{tmp_path / 'shoal.db'}")
    assert list(tmp_path.iterdir()) == []


async def test_an_empty_database_asks_for_migration(tmp_path) -> None:
    sqlite3.connect(tmp_path / "shoal.db").close()
    (tmp_path / "shoal.db").touch()
    with pytest.raises(DatabaseNotMigrated, match="run: shoal migrate"):
        await schema.check(f"sqlite:///{tmp_path / 'shoal.db'}")


@pytest.mark.parametrize("act", [schema.check, schema.upgrade])
async def test_a_file_that_is_no_database_is_said_and_left_alone(tmp_path, act) -> None:
    path = tmp_path / "shoal.db"
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(DatabaseCorrupt, match=r"shoal\.db is damaged or none at all; restore a backup"):
        await act(f"sqlite:///{path}")
    assert path.read_bytes() == b"this is no database" * 100


async def test_a_damaged_database_is_said(sqlite_template, tmp_path) -> None:
    content = bytearray(sqlite_template.read_bytes())
    content[4096:] = b"\xa5" * len(content[4096:])
    (tmp_path / "shoal.db").write_bytes(content)
    with pytest.raises(DatabaseCorrupt):
        await schema.check(f"sqlite:///{tmp_path / 'shoal.db'}")


async def test_a_database_that_can_only_be_read_is_said(tmp_path) -> None:
    connection = sqlite3.connect(tmp_path / "shoal.db")
    connection.execute("CREATE TABLE something (id INTEGER)")
    connection.close()
    with pytest.raises(DatabaseReadOnly, match="can not be written"):
        await schema.upgrade(f"sqlite:///file:{tmp_path / 'shoal.db'}?mode=ro&uri=true")


def test_a_postgresql_database_that_can_only_be_read_is_said(postgres, postgres_database) -> None:
    url = postgres.url(postgres_database)
    asyncio.run(schema.downgrade(url))
    postgres.admin(f"ALTER DATABASE {postgres_database} SET default_transaction_read_only = on")
    with pytest.raises(DatabaseReadOnly, match="can not be written"):
        asyncio.run(schema.upgrade(url))


async def test_a_folder_that_can_not_be_made_is_said(tmp_path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseUnreachable, match=r"The folder .*/file/data can not be made: Not a directory\."):
        await schema.upgrade(f"sqlite:///{tmp_path / 'file' / 'data' / 'shoal.db'}")


async def test_a_folder_in_place_of_the_file_is_said(tmp_path) -> None:
    with pytest.raises(DatabaseUnreachable, match="can not be opened"):
        await schema.upgrade(f"sqlite:///{tmp_path}")


@pytest.mark.parametrize("act", [schema.check, schema.upgrade])
async def test_a_server_that_does_not_answer_is_said_without_the_password(act) -> None:
    with pytest.raises(DatabaseUnreachable, match="can not be reached") as raised:
        await act("postgresql://shoal:hunter2secret@127.0.0.1:1/shoal")
    assert "hunter2secret" not in raised.value.message
    assert "127.0.0.1:1" in raised.value.message


async def test_a_database_that_the_server_does_not_have_is_said(postgres) -> None:
    with pytest.raises(DatabaseUnreachable, match='database "nowhere" does not exist'):
        await schema.check(postgres.url("nowhere"))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "looks like sqlite:///shoal.db"),
        ("mysql://localhost/shoal", "'mysql' are not supported"),
        ("", "looks like sqlite:///shoal.db"),
    ],
)
async def test_an_address_that_makes_no_sense_is_said(url, said) -> None:
    with pytest.raises(DatabaseUnusable, match=said):
        await schema.check(url)
