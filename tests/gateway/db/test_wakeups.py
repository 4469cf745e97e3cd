"""Whoever waits for changes of policies learns of them: SQLite by their revision, PostgreSQL by a call."""

import asyncio
import sqlite3
import time

import pytest

from gateway.db import wakeups
from gateway.db.session import Database
from gateway.db.wakeups import Notifications, Revision

pytestmark = pytest.mark.anyio

CHANNEL = "tests"


@pytest.fixture
async def file_watch(sqlite_template, tmp_path, anyio_backend):
    path = tmp_path / "shoal.db"
    path.write_bytes(sqlite_template.read_bytes())
    database = Database.open(f"sqlite:///{path}")
    watch = wakeups.wakeups(database, CHANNEL, lambda: None)
    assert isinstance(watch, Revision)
    yield path, watch
    await watch.close()
    await database.close()


def write(path, statement):
    connection = sqlite3.connect(path)
    assert connection.execute(statement).rowcount == 1
    connection.commit()
    connection.close()


async def test_sqlite_tells_whether_anybody_changed_policies(file_watch) -> None:
    path, watch = file_watch
    assert await watch.anything_changed()  # nothing is known yet
    assert [await watch.anything_changed() for _ in range(3)] == [False] * 3
    await asyncio.to_thread(write, path, "UPDATE policy_revision SET revision = revision + 1")
    assert [await watch.anything_changed() for _ in range(3)] == [True, False, False]


async def test_what_is_written_beside_policies_wakes_nobody(file_watch) -> None:
    path, watch = file_watch
    await watch.anything_changed()
    await asyncio.to_thread(write, path, "UPDATE policy_revision SET id = id")
    assert not await watch.anything_changed()


async def test_a_file_that_went_away_is_worth_a_look_every_time(file_watch) -> None:
    path, watch = file_watch
    for _ in range(2):
        await watch.anything_changed()
    away = path.rename(path.with_name("away.db"))
    assert [await watch.anything_changed() for _ in range(2)] == [True, True]
    away.rename(path)
    assert [await watch.anything_changed() for _ in range(2)] == [True, False]


async def test_what_is_no_database_is_worth_a_look(tmp_path, anyio_backend) -> None:
    path = tmp_path / "shoal.db"
    path.write_bytes(b"no database" * 100)
    database = Database.open(f"sqlite:///{path}")
    watch = Revision(database, path)
    assert [await watch.anything_changed() for _ in range(2)] == [True, True]
    await watch.close()
    await database.close()


@pytest.fixture
async def calls(postgres, postgres_database, monkeypatch, anyio_backend):
    """When the listener was called, and the listener."""
    monkeypatch.setattr(wakeups, "RETRY", 0.01)
    database, heard = Database.open(postgres.url(postgres_database)), []
    listener = wakeups.wakeups(database, CHANNEL, lambda: heard.append(time.monotonic()))
    assert isinstance(listener, Notifications)
    yield heard, database
    await listener.close()
    await database.close()


async def shout(database, times=1):
    async with database.transaction() as session:
        for _ in range(times):
            await wakeups.call(session, CHANNEL)


async def test_postgresql_calls_when_a_transaction_is_committed_and_not_before(calls, until) -> None:
    heard, database = calls
    await until(lambda: heard)  # it listens
    async with database.transaction() as session:
        await wakeups.call(session, CHANNEL)
        await asyncio.sleep(0.1)
        assert len(heard) == 1
    began = time.monotonic()
    await until(lambda: len(heard) == 2)
    assert heard[-1] - began < 1


async def test_what_is_undone_is_not_called(calls, until) -> None:
    heard, database = calls
    await until(lambda: heard)

    async def fail() -> None:
        async with database.transaction() as session:
            await wakeups.call(session, CHANNEL)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    await asyncio.sleep(0.1)
    assert len(heard) == 1


async def test_many_calls_at_once_are_a_few(calls, until) -> None:
    heard, database = calls
    await until(lambda: heard)
    await asyncio.gather(*(shout(database) for _ in range(20)))
    await until(lambda: len(heard) > 1)
    await asyncio.sleep(0.1)
    assert len(heard) < 15


async def test_a_connection_that_was_cut_is_made_again_and_calls_at_once(
    calls, until, postgres, postgres_database
) -> None:
    heard, database = calls
    await until(lambda: heard)
    cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{postgres_database}'"
    await asyncio.to_thread(postgres.admin, cut)
    await until(lambda: len(heard) >= 2)  # for whatever was said meanwhile
    before = len(heard)
    await shout(database)
    await until(lambda: len(heard) > before)


async def test_a_connection_that_hangs_is_given_up(calls, until, monkeypatch, postgres, postgres_database) -> None:
    heard, _ = calls
    await until(lambda: heard)
    monkeypatch.setattr(wakeups, "PULSE", 0.01)
    monkeypatch.setattr(wakeups, "PULSE_PATIENCE", 0.0)  # no answer is in time
    cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{postgres_database}'"
    await asyncio.to_thread(postgres.admin, cut)  # so that the next connection has the short pulse
    await until(lambda: len(heard) >= 4)
