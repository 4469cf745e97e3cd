"""Runs one ASGI app in this process until it is told to stop, then lets what is in flight finish.

uvicorn dies of the signal that stopped it; a server that did what it was asked should exit 0, so the signals are ours.
"""

import asyncio
import contextlib
import errno
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, Protocol

import uvicorn
import uvloop

from shoal.failures import StartFailure
from shoal.http_protocol import BoundedHttp

KEEP_ALIVE = 75.0
"""Seconds that an idle client connection stays open: longer than clients and proxies keep theirs (60 s is common)."""


def listen(host: str, port: int) -> socket.socket:
    """Bind and listen; port 0 takes a free one. Raises StartFailure with the reason in words."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(2048)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise StartFailure(
                f"Port {port} on {host} is in use. Stop what listens there, or choose another with --port."
            ) from None
        raise StartFailure(f"Can not listen on {host}:{port}: {error.strerror or error}.") from None
    sock.setblocking(False)
    return sock


def address(sock: socket.socket) -> str:
    """The URL at which a listening socket is reached from this machine."""
    host, port = sock.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (compared, not bound)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a command's coroutine on uvloop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


class StopSignal:
    """Set by the first SIGINT or SIGTERM; `wait` for it. A second one ends the process at once, for the impatient."""

    def __init__(self) -> None:
        self._stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.set)

    def set(self) -> None:
        """Ask for the stop."""
        if not self._stopped.is_set():
            self._stopped.set()
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    async def wait(self) -> None:
        """Return once a stop was asked for."""
        await self._stopped.wait()


class Door(Protocol):
    """Where connections come from other than a listening socket of this process."""

    def open(self, protocol: Callable[[], BoundedHttp]) -> None:
        """Let connections in, each with a new protocol."""

    async def close(self) -> None:
        """Let no more in; returns when the last one is."""


async def serve(
    app: Any,
    door: socket.socket | Door,
    stop: StopSignal,
    *,
    grace_period: float,
    beside: Awaitable[None] | None = None,
    before_stop: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Serve `app` at `door` until `stop`; then close it, finish what is in flight within `grace_period` seconds.

    `beside` runs while the app serves: its failure stops the app and is raised, its end changes nothing. `before_stop`
    runs between the stop and the closing of the door.
    """
    config = uvicorn.Config(
        app,
        http=BoundedHttp,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # who the caller is must not be the caller's to say
        timeout_keep_alive=int(KEEP_ALIVE),
        timeout_graceful_shutdown=max(1, int(grace_period)),
    )
    sockets = [door] if isinstance(door, socket.socket) else []
    server = _Server(config, None if isinstance(door, socket.socket) else door)
    serving = asyncio.create_task(server.serve(sockets=sockets))
    stopping = asyncio.create_task(stop.wait())
    companion = asyncio.ensure_future(beside) if beside is not None else None
    if companion is not None:
        companion.add_done_callback(
            lambda ended: None if ended.cancelled() or ended.exception() is None else stop.set()
        )
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if before_stop is not None and not serving.done():
        await before_stop()
    server.should_exit = True
    await serving
    if companion is not None:
        companion.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await companion


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling, and with another door if need be."""

    def __init__(self, config: uvicorn.Config, door: Door | None) -> None:
        super().__init__(config)
        self._door = door

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, or open the door."""
        await super().startup(sockets)
        if self._door is not None:
            self._door.open(lambda: BoundedHttp(self.config, self.server_state, self.lifespan.state))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the door before what is behind it."""
        if self._door is not None:
            await self._door.close()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave SIGINT and SIGTERM to `StopSignal`."""
        yield
