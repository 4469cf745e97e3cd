"""A worker's end of the reception: connections come in one by one, and the parent is told of each that has closed."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from functools import partial

from shoal.doorkeeper import Verdict
from shoal.http_protocol import BoundedHttp
from shoal.workers.reception import CLOSED, HANDED

MOST_AT_ONCE = 16
MOST_SAID = 256
LINGER = 0.2
"""Seconds after the last connection in which its first request may come."""


class Intake:
    """Serves the connections that come over `sock`."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._connecting: set[asyncio.Task[None]] = set()
        self._unsaid: list[int] = []
        """Numbers of connections that have closed and that the parent does not know of yet."""
        self._no_room = False

    async def open(self, protocol: Callable[[], BoundedHttp], tls: ssl.SSLContext | None) -> None:
        """Take connections from now on, each with a new protocol."""
        self._loop.add_reader(self._sock, self._receive, protocol, tls)

    async def close(self, patience: float = 2.0) -> None:
        """Take what is on its way until the parent sends no more; it must have been told to stop."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._ended.wait()
                await asyncio.sleep(LINGER)
        self._loop.remove_reader(self._sock)

    def _receive(self, protocol: Callable[[], BoundedHttp], tls: ssl.SSLContext | None) -> None:
        for _ in range(MOST_AT_ONCE):
            try:
                content, descriptors, _, _ = socket.recv_fds(self._sock, HANDED.size, 1, socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                return
            except ConnectionResetError:
                content, descriptors = b"", []
            if not content:
                self._loop.remove_reader(self._sock)
                self._ended.set()
                return
            number, verdict = HANDED.unpack(content)
            for descriptor in descriptors:
                made = protocol()
                made.verdict, made.when_closed = Verdict(verdict), partial(self._say_closed, number)
                connecting = self._loop.create_task(self._connect(socket.socket(fileno=descriptor), number, made, tls))
                self._connecting.add(connecting)
                connecting.add_done_callback(self._connecting.discard)

    async def _connect(
        self, connection: socket.socket, number: int, made: BoundedHttp, tls: ssl.SSLContext | None
    ) -> None:
        connection.setblocking(False)
        try:
            await self._loop.connect_accepted_socket(lambda: made, connection, ssl=tls)
        except OSError:  # the caller has gone, or does not speak TLS
            connection.close()
            self._say_closed(number)

    def _say_closed(self, number: int) -> None:
        self._unsaid.append(number)
        if not self._no_room:
            self._say()

    def _say(self) -> None:
        try:
            while self._unsaid:
                self._sock.send(b"".join(map(CLOSED.pack, self._unsaid[:MOST_SAID])))
                del self._unsaid[:MOST_SAID]
        except BlockingIOError:
            self._no_room = True
            self._loop.add_writer(self._sock, self._say_again)
        except OSError:  # nobody is there to hear it
            self._unsaid.clear()

    def _say_again(self) -> None:
        self._loop.remove_writer(self._sock)
        self._no_room = False
        self._say()
