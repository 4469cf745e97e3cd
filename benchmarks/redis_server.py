"""A Redis of the benchmark's own, empty at the start and gone at the end."""

import contextlib
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator

from benchmarks.processes import START_LIMIT, NotMeasurable, free_port, wait_until


@contextlib.contextmanager
def redis_server() -> Iterator[str]:
    """Its URL. Raises NotMeasurable where there is none to start."""
    executable = shutil.which("redis-server")
    if executable is None:
        raise NotMeasurable("There is no redis-server here. On Debian: apt-get install redis-server")
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = [executable, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
            try:
                if not wait_until(lambda: _listens(port), START_LIMIT):
                    raise NotMeasurable("redis-server does not start.")
                yield f"redis://127.0.0.1:{port}"
            finally:
                server.terminate()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
