"""PostgreSQL servers that a session starts and ends."""

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest


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
            if self.process.poll() is None:
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


@contextlib.contextmanager
def running_postgres(programs: Path, *needed: Path) -> Iterator[Postgres]:
    """A new server that runs these programs.

    It refuses to run as root, and then becomes another user, to whom our folders may be closed: the folders `needed`,
    which have one parent, are copied to where it can read them.
    """
    other = os.getuid() == 0
    user = {"user": another().pw_uid, "group": another().pw_gid, "extra_groups": []} if other else {}
    folder = Path(tempfile.mkdtemp(prefix="shoal-postgres-"))
    server: Postgres | None = None
    try:
        if other and needed:
            for each in needed:
                shutil.copytree(each, folder / each.name)
            programs = folder / programs.relative_to(needed[0].parent)
        if other:
            shutil.chown(folder, another().pw_uid)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            server = Postgres(programs, folder, user, free.getsockname()[1])
        new = [programs / "initdb", "-D", folder / "data", "-U", "shoal", "-A", "trust", "--no-sync"]
        subprocess.run(new, check=True, **server.quiet)
        server.start()
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def new_postgres() -> Iterator[Callable[[], Postgres]]:
    """Start servers of this machine's programs, which end with the session; as many as are asked for."""
    here = shutil.which("postgres")
    found = Path(here).resolve().parent if here else max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
    if found is None:
        missing = "PostgreSQL is not tested: no server here. On Debian: apt-get install postgresql"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(running_postgres(found))


def another() -> pwd.struct_passwd:
    """Debian's user for it, or the one that owns nothing."""
    with contextlib.suppress(KeyError):
        return pwd.getpwnam("postgres")
    return pwd.getpwnam("nobody")
