"""A worker's end of the reception: connections come in one by one, and the parent is told of each that has closed."""

import asyncio
import contextlib
import socket
from collections.abc import Callable

from shoal.http_protocol import BoundedHttp

MOST_AT_ONCE = 16
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
        self._unsaid = 0
        """Connections that have closed and that the parent does not know of yet."""
        self._no_room = False

    def open(self, protocol: Callable[[], BoundedHttp]) -> None:
        """Take connections from now on, each with a new protocol."""

        def watched() -> BoundedHttp:
            made = protocol()
            made.when_closed = self._say_closed
            return made

        self._loop.add_reader(self._sock, self._receive, watched)

    async def close(self, patience: float = 2.0) -> None:
        """Take what is on its way until the parent sends no more; it must have been told to stop."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._ended.wait()
                await asyncio.sleep(LINGER)
        self._loop.remove_reader(self._sock)

    def _receive(self, protocol: Callable[[], BoundedHttp]) -> None:
        for _ in range(MOST_AT_ONCE):
            try:
                content, descriptors, _, _ = socket.recv_fds(self._sock, 1, 1, socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                return
            except ConnectionResetError:
                content, descriptors = b"", []
            if not content:
                self._loop.remove_reader(self._sock)
                self._ended.set()
                return
            for descriptor in descriptors:
                connecting = self._loop.create_task(self._connect(socket.socket(fileno=descriptor), protocol))
                self._connecting.add(connecting)
                connecting.add_done_callback(self._connecting.discard)

    async def _connect(self, connection: socket.socket, protocol: Callable[[], BoundedHttp]) -> None:
        connection.setblocking(False)
        try:
            await self._loop.connect_accepted_socket(protocol, connection)
        except OSError:  # the caller has gone
            connection.close()
            self._say_closed()

    def _say_closed(self) -> None:
        self._unsaid += 1
        if not self._no_room:
            self._say()

    def _say(self) -> None:
        try:
            self._unsaid -= self._sock.send(b"\0" * self._unsaid)
        except BlockingIOError:
            self._no_room = True
            self._loop.add_writer(self._sock, self._say_again)
        except OSError:  # nobody is there to hear it
            self._unsaid = 0

    def _say_again(self) -> None:
        self._loop.remove_writer(self._sock)
        self._no_room = False
        self._say()
