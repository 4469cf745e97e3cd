"""The connections to one origin: the most recently used idle one first, never more than the limit, waiters in turn."""

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Callable

import httpx
from aiohappyeyeballs import start_connection

from gateway.http1 import Connection

STAGGER = 0.25
"""Seconds that an address has for itself (RFC 8305, 8)."""

Guard = Callable[[str, str], None]
"""Told a host and an address of it that is about to be connected to; raises httpx.ConnectError to prevent it."""
Lost = Callable[[Connection], None]


class ConnectionPool:
    """Connections of one origin, idle or taken. Whoever takes one gives it back, or closes it."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        certified: str,
        tls: ssl.SSLContext | None,
        limit: int,
        idle_seconds: float,
        guard: Guard | None,
        made: Callable[[Lost], Connection],
    ) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._shown = certified if tls is not None else None
        self._guard = guard
        self._made = made
        self._limit = limit
        self._idle_seconds = idle_seconds
        self._loop = asyncio.get_running_loop()
        self._connections: set[Connection] = set()
        self._opening = 0
        self._idle: list[Connection] = []
        self._waiters: deque[asyncio.Future[None]] = deque()

    async def take(self, patience: float | None, connect_patience: float | None) -> tuple[Connection, bool]:
        """A connection for one exchange, and whether it has served before."""
        while True:
            idle = self._pop_idle()
            if idle is not None:
                return idle, True
            if self._has_room:
                return await self._connect(connect_patience), False
            await self._wait_for_room(patience)

    async def open(self, patience: float | None, connect_patience: float | None) -> Connection:
        """A fresh connection, whatever lies idle."""
        while not self._has_room:
            if self._idle:
                self._idle.pop().close()
            await self._wait_for_room(patience)
        return await self._connect(connect_patience)

    def give_back(self, connection: Connection) -> None:
        """Keep a connection for the next exchange, if it may have one."""
        if not connection.usable:
            connection.close()
            return
        connection.idle_since = self._loop.time()
        self._idle.append(connection)
        self._wake_one()

    def close(self) -> None:
        """Close every connection."""
        for connection in tuple(self._connections):
            connection.close()

    @property
    def _has_room(self) -> bool:
        return len(self._connections) + self._opening < self._limit

    def _pop_idle(self) -> Connection | None:
        oldest_allowed = self._loop.time() - self._idle_seconds
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and connection.idle_since >= oldest_allowed:
                return connection
            connection.close()
        return None

    async def _connect(self, patience: float | None) -> Connection:
        self._opening += 1
        connection: Connection | None = None
        try:
            async with asyncio.timeout(patience):
                connection = await (self._reach() if self._guard is None else self._reach_guarded(self._guard))
        except TimeoutError as error:
            raise httpx.ConnectTimeout(f"No connection to {self._host}:{self._port} in time.") from error
        except (OSError, UnicodeError, OverflowError) as error:  # the latter of names and ports that are none
            why = "connection refused" if isinstance(error, ConnectionRefusedError) else error
            raise httpx.ConnectError(f"No connection to {self._host}:{self._port}: {why}") from error
        finally:
            self._opening -= 1
            if connection is None:
                self._wake_one()
        self._connections.add(connection)
        return connection

    async def _reach(self) -> Connection:
        """Connect to the host, which must show its certificate."""
        _, connection = await self._loop.create_connection(
            self._new, self._host, self._port, ssl=self._tls, server_hostname=self._shown
        )
        return connection

    async def _reach_guarded(self, guard: Guard) -> Connection:
        """Connect to an address that was looked at, never to a name: what a name means can change between two looks.

        One address that is refused refuses the host: a name that means both a public and a private place means harm.
        Where one does not answer soon the next is tried beside it (RFC 8305): a dead route for IPv6 would else take all
        the patience there is. Whichever is reached must show the host's certificate.
        """
        found = await self._loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        for *_, where in found:
            guard(self._host, str(where[0]))
        reached = await start_connection(found, happy_eyeballs_delay=STAGGER, interleave=1, loop=self._loop)
        _, connection = await self._loop.create_connection(
            self._new, sock=reached, ssl=self._tls, server_hostname=self._shown
        )
        return connection

    def _new(self) -> Connection:
        return self._made(self._lost)

    async def _wait_for_room(self, patience: float | None) -> None:
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waiters.append(waiter)
        woken = False
        try:
            async with asyncio.timeout(patience):
                await waiter
            woken = True
        except TimeoutError as error:
            raise httpx.PoolTimeout(f"All {self._limit} connections to {self._host}:{self._port} are busy.") from error
        finally:
            if not woken and waiter.done() and not waiter.cancelled():
                self._wake_one()

    def _lost(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._wake_one()

    def _wake_one(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
