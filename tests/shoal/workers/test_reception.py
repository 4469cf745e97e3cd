"""Connections are dealt to whoever has the fewest, and none is lost when a worker goes."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from shoal import process
from shoal.doorkeeper import Limits
from shoal.workers.intake import Intake
from shoal.workers.reception import Desk, Reception, way

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Named(asyncio.Protocol):
    """Says whose it is to whoever comes, and keeps the connection."""

    when_closed = transport = verdict = None

    def __init__(self, name: bytes, held: set) -> None:
        self._name, self._held = name, held

    def connection_made(self, transport) -> None:
        self._transport = self.transport = transport
        self._held.add(transport)
        transport.write(self._name)

    def connection_lost(self, exc) -> None:
        self._held.discard(self._transport)
        if self.when_closed is not None:
            self.when_closed()


class Server:
    def __init__(self, limits: Limits) -> None:
        self._sock = process.listen("127.0.0.1", 0)
        self.address = self._sock.getsockname()
        self.reception = Reception(self._sock, limits)
        self.desks: dict[bytes, Desk] = {}
        self.intakes: dict[bytes, Intake] = {}
        self.held: dict[bytes, set] = {}

    async def hire(self, name: bytes) -> None:
        """A worker, in this process."""
        ours, theirs = way()
        self.desks[name], self.intakes[name], self.held[name] = Desk(ours), Intake(theirs), set()
        await self.intakes[name].open(lambda: Named(name, self.held[name]), None)
        self.reception.add(self.desks[name])

    async def connect(self, count: int) -> list[bytes]:
        """Whom so many new connections were given to."""
        self._open = getattr(self, "_open", [])
        names = []
        for _ in range(count):
            reader, writer = await asyncio.open_connection(*self.address)
            names.append(await asyncio.wait_for(reader.readexactly(1), 5))
            self._open.append((names[-1], writer))
        return names

    async def hang_up(self, name: bytes) -> None:
        for owner, writer in self._open:
            if owner == name:
                writer.close()
        while self.held[name]:
            await asyncio.sleep(0.001)

    async def close(self) -> None:
        await self.reception.close()
        for name in self.desks:
            self.reception.remove(self.desks[name])
            await self.intakes[name].close()
            for transport in self.held[name]:
                transport.abort()
            self.desks[name].sock.close()
            self.intakes[name]._sock.close()
        for _, writer in self._open:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server(Limits())
    yield server
    await server.close()


async def test_every_worker_gets_its_part(server) -> None:
    for name in (b"a", b"b", b"c"):
        await server.hire(name)
    names = await server.connect(30)
    assert [names.count(name) for name in (b"a", b"b", b"c")] == [10, 10, 10]


async def test_closed_connections_make_room(server) -> None:
    await server.hire(b"a")
    await server.hire(b"b")
    await server.connect(10)
    await server.hang_up(b"a")
    assert await server.connect(5) == [b"a"] * 5


async def test_all_that_close_at_once_are_counted(server) -> None:
    await server.hire(b"a")
    await server.connect(400)
    for _, writer in server._open:
        writer.close()
    while server.held[b"a"] or server.desks[b"a"].open:
        await asyncio.sleep(0.001)


async def test_a_new_worker_is_filled_first(server) -> None:
    await server.hire(b"a")
    await server.connect(6)
    await server.hire(b"b")
    assert await server.connect(6) == [b"b"] * 6


async def test_connections_wait_while_there_is_no_worker(server) -> None:
    connecting = asyncio.create_task(server.connect(3))
    await asyncio.sleep(0.05)
    await server.hire(b"a")
    assert await connecting == [b"a"] * 3
    server.reception.remove(server.desks[b"a"])
    connecting = asyncio.create_task(server.connect(1))
    await asyncio.sleep(0.05)
    await server.hire(b"b")
    assert await connecting == [b"b"]


async def test_a_worker_that_closes_takes_what_is_on_its_way(server) -> None:
    await server.hire(b"a")
    sockets = [socket.create_connection(server.address) for _ in range(20)]
    while server.desks[b"a"].open < 20:
        await asyncio.sleep(0)
    server.reception.remove(server.desks[b"a"])
    await server.intakes[b"a"].close()
    assert len(server.held[b"a"]) == 20
    for sock in sockets:
        sock.close()
    server._open = []


async def test_a_worker_that_does_not_read_gets_what_fits_and_the_others_the_rest(server) -> None:
    server._open = []
    ours, theirs = way()
    deaf = Desk(ours)
    server.reception.add(deaf)
    sockets = []
    while server.reception._pause is None and len(sockets) < 2000:
        sockets.append(socket.create_connection(server.address))
        await asyncio.sleep(0)
    assert 0 < deaf.open < 2000
    await server.hire(b"a")
    assert await server.connect(1) == [b"a"]
    server.reception.remove(deaf)
    for sock in (*sockets, ours, theirs):
        sock.close()
