"""A change that another process makes is in force here within two seconds, whatever happened to the database before."""

import asyncio
import gc
import subprocess
import sys
import time
from itertools import count

import pytest

from gateway.services.register.keys import create_key
from gateway.services.register.tenants import create_tenant
from gateway.services.snapshot.feed import SnapshotFeed
from gateway.settings import GatewaySettings

pytestmark = pytest.mark.anyio

IN_FORCE = 2.0
"""Seconds, as promised."""
INTERVAL = GatewaySettings(database_url="").snapshot_interval


def shoal(database_url, *words):
    """The command line, in a process of its own."""
    command = [sys.executable, "-m", "shoal", *words, "--database-url", database_url]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


@pytest.fixture
async def followed(write, database, request):
    """A feed that looks as often as a gateway does, or as rarely as the test says, and a key in it."""
    await write(create_tenant, "acme")
    key = await write(create_key, "acme")
    feed = await SnapshotFeed.open(database, getattr(request, "param", INTERVAL))
    yield feed, key.id
    await feed.close()


async def follows(feed, database_url, *words, condition):
    """The change is in force in time after the end of the process that made it."""
    await asyncio.to_thread(shoal, database_url, *words)
    began = time.monotonic()
    while not condition(feed.current):
        assert time.monotonic() - began < IN_FORCE, "the change is not in force"
        await asyncio.sleep(0.002)


async def test_a_change_by_another_process_is_in_force_in_time(followed, database_url) -> None:
    feed, key = followed
    await follows(feed, database_url, "tenant", "suspend", "acme", condition=lambda now: now.keys[key].tenant.suspended)
    await follows(feed, database_url, "key", "revoke", key, condition=lambda now: now.keys[key].revoked)


@pytest.mark.parametrize("followed", [3600.0], indirect=True)
async def test_however_rare_the_looks_postgresql_tells_at_once_and_sqlite_is_looked_at(followed, database_url) -> None:
    feed, key = followed
    await follows(feed, database_url, "tenant", "suspend", "acme", condition=lambda now: now.keys[key].tenant.suspended)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("followed", [INTERVAL, 3600.0], indirect=True, ids=["looking", "listening only"])
async def test_a_server_that_was_restarted_is_followed_again(followed, database_url, postgres) -> None:
    feed, key = followed
    await asyncio.to_thread(postgres.stop)
    await asyncio.sleep(2 * INTERVAL)
    assert key in feed.current.keys  # what was known goes on
    await asyncio.to_thread(postgres.start)
    await follows(feed, database_url, "tenant", "suspend", "acme", condition=lambda now: now.keys[key].tenant.suspended)
    await follows(
        feed, database_url, "tenant", "resume", "acme", condition=lambda now: not now.keys[key].tenant.suspended
    )


async def test_a_feed_that_is_closed_while_it_looks_leaves_nothing_open(database) -> None:
    for _ in range(10):
        feed = await SnapshotFeed.open(database, 0.001)
        await asyncio.sleep(0.005)
        await feed.close()
        gc.collect()  # what was left open says so now, and warnings are errors


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("followed", [0.005], indirect=True)
async def test_sqlite_is_not_asked_for_its_revision_while_nobody_writes(followed, write, until, monkeypatch) -> None:
    feed, _ = followed
    asked = []
    refresh = feed.refresh

    async def counted():
        asked.append(1)
        return await refresh()

    monkeypatch.setattr(feed, "refresh", counted)
    looks = count()
    await until(lambda: next(looks) > 20)  # 5 ms each
    assert len(asked) <= 1
    before = len(asked)
    await write(create_tenant, "other")
    await until(lambda: len(asked) > before)
    assert feed.age < 1  # known to be current without having been asked
