"""The parent accepts every connection and hands it to the worker that has the fewest.

A listening socket that workers share is won by whoever wakes first: of 64 connections one worker of four took 55
(measured). With SO_REUSEPORT the kernel deals them by a hash, evenly only on average, and goes on dealing to a worker
that has died. Handing out costs a tenth of a millisecond for each connection, not for each request; nothing waits at a
worker that is gone, and one that starts anew is filled first.
"""

import asyncio
import socket

import structlog

MOST_AT_ONCE = 64
"""Connections accepted before other work gets a turn."""
PAUSE = 0.05
"""Seconds without accepting after something was short: file descriptors, or room on the way to every worker."""

log = structlog.get_logger("shoal.workers")


class Desk:
    """The way of connections to one worker. Each byte that comes back says that it has closed one."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.open = 0

    def hand_over(self, connection: socket.socket) -> bool:
        """Give the worker a connection; False where there is no room on the way, or nobody at its end."""
        try:
            socket.send_fds(self.sock, [b"\0"], [connection.fileno()])
        except OSError:
            return False
        self.open += 1
        return True

    def count_closed(self) -> bool:
        """Take up what the worker said; False once it is gone."""
        try:
            closed = len(self.sock.recv(4096))
        except BlockingIOError:
            return True
        except ConnectionResetError:
            return False
        self.open -= closed
        return closed > 0


class Reception:
    """Accepts on a listening socket while there is a desk. `close` ends it."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._desks: list[Desk] = []
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._pause: asyncio.TimerHandle | None = None

    def add(self, desk: Desk) -> None:
        """Hand connections to this one too."""
        self._desks.append(desk)
        self._loop.add_reader(desk.sock, self._listen_to, desk)
        self._accept_again()

    def remove(self, desk: Desk) -> None:
        """Hand it no more; its worker hears so by the end of the socket, after the last connection."""
        if desk not in self._desks:
            return
        self._desks.remove(desk)
        self._loop.remove_reader(desk.sock)
        desk.sock.shutdown(socket.SHUT_WR)
        if not self._desks and not self._closed:
            self._loop.remove_reader(self._sock)

    def close(self) -> None:
        """Stop listening."""
        self._closed = True
        self._loop.remove_reader(self._sock)
        if self._pause is not None:
            self._pause.cancel()
        self._sock.close()

    def _listen_to(self, desk: Desk) -> None:
        if not desk.count_closed():
            self._loop.remove_reader(desk.sock)

    def _accept_again(self) -> None:
        self._pause = None
        if self._desks and not self._closed:
            self._loop.add_reader(self._sock, self._accept)

    def _accept(self) -> None:
        for _ in range(MOST_AT_ONCE):
            try:
                connection, _ = self._sock.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                log.warning("can not accept connections", why=error.strerror)
                self._rest()
                return
            with connection:
                if not self._hand_out(connection):
                    self._rest()
                    return

    def _hand_out(self, connection: socket.socket) -> bool:
        return any(desk.hand_over(connection) for desk in sorted(self._desks, key=lambda desk: desk.open))

    def _rest(self) -> None:
        self._loop.remove_reader(self._sock)
        if self._pause is None:
            self._pause = self._loop.call_later(PAUSE, self._accept_again)
