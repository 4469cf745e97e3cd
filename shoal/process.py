"""Runs one ASGI app in this process until it is told to stop, then lets what is in flight finish.

uvicorn dies of the signal that stopped it; a server that did what it was asked should exit 0, so the signals are ours.
"""

import asyncio
import contextlib
import errno
import signal
import socket
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import uvloop

from shoal.door import Door, ListeningDoor
from shoal.doorkeeper import Limits
from shoal.failures import StartFailure
from shoal.first_process import heed_stop
from shoal.server import Server

TCP_NOTSENT_LOWAT = 25
MOST_UNSENT = 256 * 1024
"""Bytes of an answer that the kernel takes before its reader does: else it holds megabytes for each who reads nothing,
where nobody counts them. Connections have it from the socket that they came by."""


def listen(host: str, port: int) -> socket.socket:
    """Bind and listen; port 0 takes a free one. Raises StartFailure with the reason in words."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, MOST_UNSENT)
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


def address(sock: socket.socket, certificate: Path | None = None) -> str:
    """The URL at which a listening socket is reached from this machine; with a certificate, by TLS."""
    scheme = "http" if certificate is None else "https"
    host, port = sock.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (compared, not bound)
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


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
            heed_stop()

    async def wait(self) -> None:
        """Return once a stop was asked for."""
        await self._stopped.wait()


async def serve(
    app: Any,
    door: socket.socket | Door,
    stop: StopSignal,
    *,
    grace_period: float,
    limits: Limits | None = None,
    tls: ssl.SSLContext | None = None,
    beside: Awaitable[None] | None = None,
    before_stop: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Serve `app` at `door` until `stop`; then close it, finish what is in flight within `grace_period` seconds.

    `beside` runs while the app serves: its failure stops the app and is raised, its end changes nothing. `before_stop`
    runs between the stop and the closing of the door.
    """
    server = Server(app, ListeningDoor(door) if isinstance(door, socket.socket) else door, limits or Limits(), tls)
    companion = asyncio.ensure_future(beside) if beside is not None else None
    if companion is not None:
        companion.add_done_callback(
            lambda ended: None if ended.cancelled() or ended.exception() is None else stop.set()
        )
    await server.open()
    await stop.wait()
    server.leave()
    try:
        if before_stop is not None:
            await before_stop()
    finally:
        await server.close(grace_period)
        if companion is not None:
            companion.cancel()
    if companion is not None:
        with contextlib.suppress(asyncio.CancelledError):
            await companion
