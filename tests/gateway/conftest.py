"""A migrated database per test, on SQLite and on a real PostgreSQL that this session starts and ends."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import pytest

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


@dataclass
class Postgres:
    """A server of our own, on a port that stays the same when it is restarted."""

    programs: Path
    folder: Path
    user: dict[str, Any]
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def url(self, name: str) -> str:
        return f"postgresql://shoal:not-secret@127.0.0.1:{self.port}/{name}"

    def start(self) -> None:
        """Up, and ready to answer."""
        options = ["-p", str(self.port), "-k", self.folder, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
        self.process = subprocess.Popen(
            [self.programs / "postgres", "-D", self.folder / "data", *options], **self.quiet
        )
        ready = [self.programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        deadline = time.monotonic() + 30
        while subprocess.run(ready, check=False).returncode:
            assert self.process.poll() is None, "PostgreSQL does not start"
            assert time.monotonic() < deadline, "PostgreSQL does not get ready"
            time.sleep(0.05)

    def stop(self) -> None:
        """Down; connections are cut."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)  # "fast": does not wait for connections to end
            self.process.wait(30)

    @property
    def quiet(self) -> dict[str, Any]:
        """How its programs are run."""
        return {"cwd": self.folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **self.user}

    def admin(self, *statements: str, database: str = "postgres") -> None:
        """Run statements outside of any transaction."""

        async def execute() -> None:
            connection = await asyncpg.connect(self.url(database))
            for statement in statements:
                await connection.execute(statement)
            await connection.close()

        asyncio.run(execute())


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    here = shutil.which("postgres")
    found = Path(here).resolve().parent if here else max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
    if found is None:
        missing = "PostgreSQL is not tested: no server here. On Debian: apt-get install postgresql"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    # The server refuses to run as root, and pytest's folders are closed to other users.
    user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="shoal-postgres-"))
    if user:
        shutil.chown(folder, "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        server = Postgres(found, folder, user, free.getsockname()[1])
    new = [found / "initdb", "-D", folder / "data", "-U", "shoal", "-A", "trust", "--no-sync"]
    subprocess.run(new, check=True, **server.quiet)
    try:
        server.start()
        server.admin(f"CREATE DATABASE {TEMPLATE}")
        asyncio.run(upgrade(server.url(TEMPLATE)))
        server.admin(f"CREATE DATABASE {SHARED} TEMPLATE {TEMPLATE}")
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


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
