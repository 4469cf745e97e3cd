"""A PostgreSQL of our own that can be stopped for a while."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import NotMeasurable, free_port, wait_until


@dataclass
class Postgres:
    """The server; `start` and `stop` it."""

    programs: Path
    folder: Path
    port: int
    quiet: dict[str, Any]
    process: subprocess.Popen[Any] | None = None

    @property
    def url(self) -> str:
        """Of its one database."""
        return f"postgresql://shoal:unused@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Run it until it answers."""
        place = ["-p", str(self.port), "-k", str(self.folder), "-c", "listen_addresses=127.0.0.1"]
        data = str(self.folder / "data")
        self.process = subprocess.Popen([str(self.programs / "postgres"), "-D", data, *place], **self.quiet)
        ready = [str(self.programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        if not wait_until(lambda: subprocess.run(ready, check=False).returncode == 0, 30.0):
            raise NotMeasurable("PostgreSQL does not start.")

    def stop(self) -> None:
        """End it without waiting for its connections."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait()


@contextlib.contextmanager
def postgres() -> Iterator[Postgres]:
    """A server with an empty database, gone at the end. Raises NotMeasurable where none is installed."""
    found = shutil.which("postgres")
    programs = Path(found).resolve().parent if found else max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
    if programs is None:
        raise NotMeasurable("There is no PostgreSQL here. On Debian: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="shoal-postgres-"))
    quiet: dict[str, Any] = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if os.getuid() == 0:  # it refuses to run as root
        shutil.chown(folder, "postgres")
        quiet |= {"user": "postgres", "group": "postgres", "extra_groups": []}
    subprocess.run([programs / "initdb", "-D", folder / "data", "-U", "shoal", "-A", "trust"], check=True, **quiet)
    server = Postgres(programs, folder, free_port(), quiet)
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)
