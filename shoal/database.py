"""How a command reaches the database: checked first, one transaction, closed after; and who the command line is."""

import asyncio
import getpass
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db.schema import check
from gateway.db.session import Database
from gateway.services.register.audit import Actor

Result = TypeVar("Result")


def change(url: str, work: Callable[[AsyncSession, Actor], Awaitable[Result]]) -> Result:
    """Run `work` in one transaction, as the person at this terminal."""

    async def changed() -> Result:
        async with opened(url) as database, database.transaction() as session:
            return await work(session, operator_at_terminal())

    return asyncio.run(changed())


def read(url: str, work: Callable[[AsyncSession], Awaitable[Result]]) -> Result:
    """Run `work` on one consistent state of the database."""

    async def found() -> Result:
        async with opened(url) as database, database.reading() as session:
            return await work(session)

    return asyncio.run(found())


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    """The database, if it is of this program's version; else the error says what to do."""
    await check(url)
    database = Database.open(url)
    try:
        yield database
    finally:
        await database.close()


def operator_at_terminal() -> Actor:
    """What the audit log says of changes by the command line: the system's user and the machine."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        user = str(os.getuid())
    return Actor(f"cli:{user}", socket.gethostname())
