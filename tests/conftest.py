"""A real Redis, started by the session."""

import contextlib
import os
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

import hiredis
import pytest
import structlog

pytest_plugins = (
    "authorities",
    "compatibility",
    "deadlines",
    "fake_provider",
    "full_console",
    "garbage",
    "images",
    "names",
    "order",
    "postgres_server",
    "secrets_watch",
)


def pytest_configure() -> None:
    """Log as servers do: tracebacks without local variables, which hold callers' keys."""
    *others, _ = structlog.get_config()["processors"]
    people = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*others, people])


@dataclass
class Redis:
    """A server of our own, on a port that stays the same when it is killed and started again."""

    executable: str
    folder: Path
    options: tuple[str, ...] = ()
    port: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """An empty server, ready to answer."""
        if not self.port:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
        words = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", self.folder, *self.options]
        self.process = subprocess.Popen([self.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while not self._answers():
            assert self.process.poll() is None, "Redis does not start"
            assert time.monotonic() < deadline, "Redis does not get ready"
            time.sleep(0.01)

    def kill(self) -> None:
        """Gone at once, with all that it held."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def freeze(self) -> None:
        """It holds its connections, takes new ones, and answers nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def do(self, *words: str | bytes | int) -> Any:
        """The reply to a command, on a connection of its own."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(hiredis.pack_command(words))
            reader = hiredis.Reader()
            while (reply := reader.gets()) is False:
                received = connection.recv(65536)
                assert received, "Redis closed the connection"
                reader.feed(received)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def _answers(self) -> bool:
        try:
            self.do("PING")
        except hiredis.ReplyError:
            return True  # it wants a password
        except OSError:
            return False
        return True


@pytest.fixture(scope="session")
def redis_executable() -> str:
    found = shutil.which("redis-server")
    if found is None:
        missing = "Redis is not tested: no server here. On Debian: apt-get install redis-server"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    return found


@pytest.fixture(scope="session")
def new_redis(redis_executable: str) -> Iterator[Callable[..., Redis]]:
    """Start servers with options of their own; they end with the session."""
    with contextlib.ExitStack() as stack:

        def start(*options: str) -> Redis:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="shoal-redis-"))
            server = Redis(redis_executable, Path(folder), options)
            stack.callback(server.kill)
            server.start()
            return server

        yield start


@pytest.fixture(scope="session")
def _shared_redis(new_redis: Callable[..., Redis]) -> Redis:
    return new_redis()


@pytest.fixture
def redis(_shared_redis: Redis) -> Redis:
    """An empty server, shared by tests in turn: not to be killed or frozen."""
    _shared_redis.do("FLUSHALL")
    return _shared_redis


@pytest.fixture
def own_redis(new_redis: Callable[..., Redis]) -> Iterator[Redis]:
    """An empty server of the test's own, to kill and to freeze."""
    server = new_redis()
    yield server
    server.thaw()
    server.kill()
