"""How a process learns that another one changed policies: PostgreSQL calls, in SQLite the revision is cheap to look at.

Neither is needed for correctness: whoever uses them also looks at the database itself from time to time.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import aiosqlite
import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from gateway.db.session import Database, connect_sqlite, create_pool

log = structlog.get_logger(__name__)

RETRY = 0.5
"""Seconds until a lost connection is tried again."""
PULSE = 15.0
"""Seconds of silence after which a connection is asked whether it is still one."""
PULSE_PATIENCE = 5.0
TOGETHER = 0.02
"""Seconds in which calls that follow each other become one."""


async def call(session: AsyncSession, channel: str) -> None:
    """Wake everybody who listens to `channel`, once the transaction is committed; on SQLite nobody listens."""
    if session.get_bind().dialect.name == "postgresql":
        await session.execute(text("SELECT pg_notify(:channel, '')"), {"channel": channel})


class Wakeups(Protocol):
    """Open until closed."""

    async def anything_changed(self) -> bool:
        """False only where nobody can have changed policies since this was last asked."""
        ...

    async def close(self) -> None:
        """Stop."""
        ...


def wakeups(database: Database, channel: str, wake: Callable[[], None]) -> Wakeups:
    """The kind that suits the database. `wake` is called when `channel` was notified, where the database can do so."""
    if database.file is not None:
        return Revision(database, database.file)
    return Notifications(database, channel, wake)


class Revision:
    """SQLite's row of the policy revision, by a connection of its own and without the ORM.

    `PRAGMA data_version` would cost as much, and move with every record of usage.
    """

    def __init__(self, database: Database, file: Path) -> None:
        self._database = database
        self._file = file
        self._connection: aiosqlite.Connection | None = None
        self._last: int | None = None

    async def anything_changed(self) -> bool:
        """Whether the revision moved; True too where it can not be read, so that the next look says why."""
        try:
            self._database.check_still_there()
            if self._connection is None:
                self._connection = await connect_sqlite(self._file, isolation_level=None)
            async with self._connection.execute("SELECT revision FROM policy_revision") as cursor:
                [revision] = await cursor.fetchone() or [None]
        except Exception:  # noqa: BLE001 (the look at the database itself, which comes now, says what it is)
            await self.close()
            return True
        last, self._last = self._last, revision
        return revision != last

    async def close(self) -> None:
        """Close the connection; the next question opens another."""
        connection, self._connection, self._last = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error, ValueError):
                await connection.close()


class Notifications:
    """A connection that listens for PostgreSQL's NOTIFY, and is made again whenever it is lost."""

    def __init__(self, database: Database, channel: str, wake: Callable[[], None]) -> None:
        self._pool = create_pool(database.url)
        self._channel = channel
        self._wake = wake
        self._pending: asyncio.TimerHandle | None = None
        self._task = asyncio.create_task(self._listen(), name="listener of the database")

    async def anything_changed(self) -> bool:
        """True: a call may have been missed."""
        return True

    async def close(self) -> None:
        """Stop listening."""
        self._task.cancel()
        await asyncio.wait([self._task])
        if self._pending is not None:
            self._pending.cancel()
        await self._pool.dispose()

    async def _listen(self) -> None:
        while True:
            try:
                async with self._pool.connect() as connection:
                    try:
                        await self._hear(connection)
                    finally:
                        await connection.invalidate()  # nobody else may have a connection that listens
            except Exception as error:  # noqa: BLE001 (whatever it is, it is tried again, and looks go on meanwhile)
                log.debug("the database can not call", why=repr(error))
            await asyncio.sleep(RETRY)

    async def _hear(self, connection: AsyncConnection) -> None:
        """Pass on calls until the connection ends."""
        driver = (await connection.get_raw_connection()).driver_connection
        if driver is None:
            return
        ended = asyncio.Event()
        driver.add_termination_listener(lambda *_: ended.set())
        await driver.add_listener(self._channel, lambda *_: self._called())
        self._called()  # whatever was said while nobody listened
        while not ended.is_set():
            try:
                async with asyncio.timeout(PULSE):
                    await ended.wait()
            except TimeoutError:
                async with asyncio.timeout(PULSE_PATIENCE):
                    await driver.execute("SELECT 1")

    def _called(self) -> None:
        if self._pending is None:
            self._pending = asyncio.get_running_loop().call_later(TOGETHER, self._pass_on)

    def _pass_on(self) -> None:
        self._pending = None
        self._wake()
