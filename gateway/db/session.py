"""The way to the database: a pool of connections and the transactions on it, opened by the composition root."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import aiosqlite
from sqlalchemy import Connection, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from gateway.db.errors import DatabaseAddressInvalid, DatabaseUnreachable, explain

DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}
BUSY_TIMEOUT = 5.0
"""Seconds to wait for another process's write to SQLite."""


class Database:
    """The pool. `transaction()` writes, `reading()` sees one consistent state; both end the transaction themselves."""

    def __init__(self, pool: AsyncEngine, url: URL) -> None:
        self.url = url
        self.file = Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None
        """Where SQLite keeps it; None for PostgreSQL."""
        self._file_identity: tuple[int, int] | None = None
        self._writing = pool.execution_options(sqlite_begin="BEGIN IMMEDIATE")
        # Several SELECTs of one snapshot must show one moment; SQLite's deferred transactions do so anyway.
        self._reading = pool.execution_options(
            **(
                {"sqlite_begin": "BEGIN DEFERRED"}
                if url.get_backend_name() == "sqlite"
                else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
            )
        )

    @classmethod
    def open(cls, url: str) -> Self:
        """Make the pool. Connects on first use, so this fails on a malformed URL only."""
        address = parse_url(url)
        return cls(create_pool(address), address)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A session whose changes are committed at the end of the block, or all undone when it raises.

        Raises a `DatabaseUnusable` that says why where the database itself is at fault.
        """
        async with self._session(self._writing) as session, session.begin():
            yield session

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """A session that sees one consistent state and takes no lock."""
        async with self._session(self._reading) as session:
            yield session

    async def close(self) -> None:
        """Close every connection."""
        await self._writing.dispose()

    @asynccontextmanager
    async def _session(self, pool: AsyncEngine) -> AsyncIterator[AsyncSession]:
        self.check_still_there()
        try:
            async with AsyncSession(pool, expire_on_commit=False) as session:
                yield session
        except Exception as error:
            if (meaning := explain(error, self.url)) is None:
                raise
            raise meaning from error

    def check_still_there(self) -> None:
        """SQLite goes on with a file that was deleted or replaced, and what it writes there is lost at the end.

        Raises DatabaseUnreachable then.
        """
        if self.file is None:
            return
        try:
            status = self.file.stat()
        except OSError:
            identity = None
        else:
            identity = status.st_dev, status.st_ino
        if self._file_identity is None:
            self._file_identity = identity
        elif identity != self._file_identity:
            raise DatabaseUnreachable(
                f"The database {self.file} was deleted or replaced while it was in use; put it back, or start again."
            )


def parse_url(text: str) -> URL:
    """A database URL with the async driver filled in: `sqlite:///file`, `postgresql://user:password@host/name`."""
    try:
        url = make_url(text)
    except ArgumentError:
        raise DatabaseAddressInvalid(
            "The database URL can not be read; it looks like sqlite:///shoal.db or postgresql://user:password@host/name."
        ) from None
    driver = DRIVERS.get(url.get_backend_name())
    if driver is None:
        raise DatabaseAddressInvalid(
            f"Databases of the kind '{url.get_backend_name()}' are not supported; use sqlite or postgresql."
        )
    if driver.startswith("postgresql") and "sslmode" in url.query:  # libpq's word; asyncpg says `ssl`
        url = url.set(query={("ssl" if name == "sslmode" else name): value for name, value in url.query.items()})
    return url.set(drivername=driver)


def create_pool(url: URL) -> AsyncEngine:
    """Connections to `url`: SQLite in WAL with foreign keys, PostgreSQL checked before use so that it may restart.

    What statements carry is left out of their errors, which are logged.
    """
    if url.get_backend_name() != "sqlite":
        return create_async_engine(url, pool_pre_ping=True, hide_parameters=True, connect_args={"timeout": 10})
    # isolation_level None: the driver starts no transactions of its own, `_begin` says which kind.
    options = {"isolation_level": None, "timeout": BUSY_TIMEOUT, "async_creator_fn": connect_sqlite}
    pool = create_async_engine(url, hide_parameters=True, connect_args=options)
    event.listen(pool.sync_engine, "connect", _prepare_sqlite)
    event.listen(pool.sync_engine, "begin", _begin_sqlite)
    return pool


async def connect_sqlite(*where: Any, **options: Any) -> aiosqlite.Connection:
    """As aiosqlite connects, but after a failure no thread is left that would report to an event loop since closed."""
    connection = aiosqlite.connect(*where, **options)
    thread = connection._thread  # noqa: SLF001 (there is no public way to it)
    thread.daemon = True
    try:
        return await connection
    except sqlite3.Error:
        await asyncio.to_thread(thread.join)
        raise


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")  # in WAL: durable against a crash of the process, and never corrupt
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE takes the write lock at once; a deferred one that writes later fails instead of waiting its turn.
    connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN IMMEDIATE"))
