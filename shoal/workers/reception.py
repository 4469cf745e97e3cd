"""The parent accepts every connection and hands it to the worker that has the fewest.

A listening socket that workers share is won by whoever wakes first: of 64 connections one worker of four took 55
(measured). With SO_REUSEPORT the kernel deals them by a hash, evenly only on average, and goes on dealing to a worker
that has died. Handing out costs a tenth of a millisecond for each connection, not for each request; nothing waits at a
worker that is gone, and one that starts anew is filled first.
"""

import asyncio
import itertools
import socket
import struct
from collections.abc import Sequence
from typing import NamedTuple

import structlog

from shoal.door import SETTLING, turn_new_away
from shoal.doorkeeper import Doorkeeper, Limits, Verdict

MOST_AT_ONCE = 64
"""Connections accepted before other work gets a turn."""
PAUSE = 0.05
"""Seconds without accepting after something was short: file descriptors, or room on the way to every worker."""

HANDED = struct.Struct("=IB")
"""The number of a connection, and whether to serve it."""
CLOSED = struct.Struct("=I")
MOST_NUMBER = 2**32

log = structlog.get_logger("shoal.workers")


class Seat(NamedTuple):
    """What the doorkeeper must know again when a connection ends."""

    address: str
    verdict: Verdict


def way() -> tuple[socket.socket, socket.socket]:
    """The two ends of a way from reception to worker. It keeps apart what was sent apart."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


class Desk:
    """The way of connections to one worker, each with its number; the number comes back when it has closed."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self._numbers = itertools.count()
        self._open: dict[int, Seat] = {}

    @property
    def open(self) -> int:
        """Connections that the worker has."""
        return len(self._open)

    def hand_over(self, connection: socket.socket, seat: Seat) -> bool:
        """Give the worker a connection; False where there is no room on the way, or nobody at its end."""
        number = next(self._numbers) % MOST_NUMBER
        try:
            socket.send_fds(self.sock, [HANDED.pack(number, seat.verdict.value)], [connection.fileno()])
        except OSError:
            return False
        self._open[number] = seat
        return True

    def closed(self) -> list[Seat] | None:
        """What has become free, as the worker says; None once it is gone."""
        try:
            said = self.sock.recv(CLOSED.size * 1024)
        except BlockingIOError:
            return []
        except ConnectionResetError:
            said = b""
        return [self._open.pop(number) for (number,) in CLOSED.iter_unpack(said)] if said else None

    def vacate(self) -> list[Seat]:
        """What becomes free with the worker's end."""
        seats, self._open = list(self._open.values()), {}
        return seats


class Reception:
    """Accepts on a listening socket while there is a desk. `close` ends it."""

    def __init__(self, sock: socket.socket, limits: Limits) -> None:
        self._sock = sock
        self._keeper = Doorkeeper(limits)
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
        self._free(desk.vacate())
        desk.sock.shutdown(socket.SHUT_WR)
        if not self._desks and not self._closed:
            self._loop.remove_reader(self._sock)

    async def close(self) -> None:
        """Hand out what was on its way, then stop listening."""
        if self._desks and not self._closed:
            turn_new_away(self._sock)
            await asyncio.sleep(SETTLING)
        self._closed = True
        self._loop.remove_reader(self._sock)
        if self._pause is not None:
            self._pause.cancel()
        self._sock.close()

    def _listen_to(self, desk: Desk) -> None:
        seats = desk.closed()
        if seats is None:
            self._loop.remove_reader(desk.sock)
            seats = desk.vacate()
        self._free(seats)

    def _free(self, seats: Sequence[Seat]) -> None:
        for seat in seats:
            self._keeper.leave(*seat)

    def _accept_again(self) -> None:
        self._pause = None
        if self._desks and not self._closed:
            self._loop.add_reader(self._sock, self._accept)

    def _accept(self) -> None:
        for _ in range(MOST_AT_ONCE):
            try:
                connection, peer = self._sock.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                log.warning("can not accept connections", why=error.strerror)
                self._rest()
                return
            with connection:
                if not self._hand_out(connection, str(peer[0])):
                    self._rest()
                    return

    def _hand_out(self, connection: socket.socket, address: str) -> bool:
        """Whether there was room on the way to somebody."""
        seat = Seat(address, self._keeper.enter(address))
        if seat.verdict is Verdict.DROP:
            return True
        if any(desk.hand_over(connection, seat) for desk in sorted(self._desks, key=lambda desk: desk.open)):
            return True
        self._keeper.leave(*seat)
        return False

    def _rest(self) -> None:
        self._loop.remove_reader(self._sock)
        if self._pause is None:
            self._pause = self._loop.call_later(PAUSE, self._accept_again)
