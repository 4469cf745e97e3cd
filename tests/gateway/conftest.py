"""A migrated database per test, on SQLite and on a real PostgreSQL that this session starts and ends."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from postgres_server import Postgres

from gateway.db.schema import upgrade
from gateway.db.session import Database
from gateway.db.tables import Row
from gateway.services.register.audit import Actor

TEMPLATE = "migrated"
SHARED = "shared"
EMPTY = (
    *(f"DELETE FROM {table.name}" for table in reversed(Row.metadata.sorted_tables) if table.name != "policy_revision"),
    "UPDATE policy_revision SET revision = 0",
)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres(new_postgres: Callable[[], Postgres]) -> Postgres:
    server = new_postgres()
    server.admin(f"CREATE DATABASE {TEMPLATE}")
    asyncio.run(upgrade(server.url(TEMPLATE)))
    server.admin(f"CREATE DATABASE {SHARED} TEMPLATE {TEMPLATE}")
    return server


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / "shoal.db"
    asyncio.run(upgrade(f"sqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def _numbers() -> Iterator[int]:
    return count()


@pytest.fixture
def postgres_database(postgres: Postgres, _numbers: Iterator[int]) -> Iterator[str]:
    """The name of a migrated database on the server, for tests that change more than rows."""
    name = f"test_{next(_numbers)}"
    postgres.admin(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    yield name
    postgres.admin(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A migrated database; tests that use it run on both kinds."""
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        server.admin(*EMPTY, database=SHARED)
        return server.url(SHARED)
    shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "shoal.db")
    return f"sqlite:///{tmp_path / 'shoal.db'}"


@pytest.fixture
async def database(database_url: str, anyio_backend: str) -> AsyncIterator[Database]:
    database = Database.open(database_url)
    yield database
    await database.close()


@pytest.fixture
def actor() -> Actor:
    return Actor("tester", "127.0.0.1")


@pytest.fixture
def until() -> Callable[[Callable[[], Any]], Awaitable[None]]:
    """Wait until a condition holds; fail after ten seconds."""

    async def wait(condition: Callable[[], Any]) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(10):
                while not condition():
                    await asyncio.sleep(0.005)
        assert condition()

    return wait
