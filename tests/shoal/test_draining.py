"""A server that stops: whatever was sent to it is answered, and who will send more is told to go elsewhere."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from shoal import door, process, server

pytestmark = pytest.mark.anyio
GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}


class App:
    """Answers in two halves: the first at once, the second when the gate is open."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.begins_early = False

    async def __call__(self, scope, receive, send) -> None:
        self.asked.set()
        start = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"8")]}
        if self.begins_early:
            await send(start)
            await send({"type": "http.response.body", "body": b"one,", "more_body": True})
        await self.gate.wait()
        if not self.begins_early:
            await send(start)
            await send({"type": "http.response.body", "body": b"one,", "more_body": True})
        await send({"type": "http.response.body", "body": b"two."})


class Serving:
    """A server of the app, and its clients."""

    def __init__(self, app: App, grace_period: float) -> None:
        self._sock = process.listen("127.0.0.1", 0)
        self.address = self._sock.getsockname()
        self._stop = process.StopSignal()
        self.ended = asyncio.create_task(process.serve(app, self._sock, self._stop, grace_period=grace_period))

    def stop(self) -> None:
        self._stop.set()


@contextlib.asynccontextmanager
async def serving(app: App, grace_period: float = 5.0) -> AsyncIterator[Serving]:
    made = Serving(app, grace_period)
    await asyncio.sleep(0)
    try:
        async with asyncio.timeout(20):
            yield made
    finally:
        made.stop()
        await made.ended


async def read_answer(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    """Head and body of one answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.partition("content-length: ")[2].split()[0])
    return head, await reader.readexactly(length)


async def test_what_is_in_flight_is_finished_and_says_that_it_is_the_last() -> None:
    app = App()
    app.gate.clear()
    async with serving(app) as running:
        reader, writer = await asyncio.open_connection(*running.address)
        writer.write(GET)
        await app.asked.wait()
        running.stop()
        await asyncio.sleep(0.1)
        app.gate.set()
        head, body = await read_answer(reader)
        assert "connection: close" in head
        assert body == b"one,two."
        assert await reader.read() == b""
        writer.close()


async def test_an_answer_that_has_begun_is_sent_to_its_end() -> None:
    app = App()
    app.begins_early = True
    app.gate.clear()
    async with serving(app) as running:
        reader, writer = await asyncio.open_connection(*running.address)
        writer.write(GET)
        assert (await reader.readuntil(b"one,")).endswith(b"one,")
        running.stop()
        await asyncio.sleep(0.1)
        app.gate.set()
        assert await reader.read() == b"two."
        writer.close()


async def test_the_next_request_on_a_kept_connection_is_answered_and_told_to_close() -> None:
    async with serving(App()) as running:
        reader, writer = await asyncio.open_connection(*running.address)
        writer.write(GET)
        assert "connection: close" not in (await read_answer(reader))[0]
        running.stop()
        await asyncio.sleep(0.2)  # the door is closed by now
        with pytest.raises(OSError):  # noqa: PT011 (refused, or not heard)
            async with asyncio.timeout(0.2):
                await asyncio.open_connection(*running.address)
        writer.write(GET)
        assert "connection: close" in (await read_answer(reader))[0]
        assert await reader.read() == b""
        writer.close()


async def test_a_kept_connection_that_nobody_uses_does_not_hold_the_end_up() -> None:
    async with serving(App(), grace_period=30) as running:
        reader, writer = await asyncio.open_connection(*running.address)
        writer.write(GET)
        await read_answer(reader)
        running.stop()
        async with asyncio.timeout(3):
            assert await reader.read() == b""
            await running.ended
        writer.close()


async def test_a_request_that_lies_unread_when_its_connection_would_be_closed_is_answered(monkeypatch) -> None:
    """The classic race: the client sends on a kept connection in the moment in which the server closes it."""
    monkeypatch.setattr(server, "LINGER", 0.0)
    loop, close = asyncio.get_running_loop(), door.ListeningDoor.close
    async with serving(App()) as running:
        with socket.create_connection(running.address) as client:
            client.setblocking(False)

            async def close_and_send(closing) -> None:
                await close(closing)
                client.send(GET)  # and nothing runs before the idle connections are closed

            monkeypatch.setattr(door.ListeningDoor, "close", close_and_send)
            client.send(GET)
            assert b"two." in await loop.sock_recv(client, 4096)
            running.stop()
            assert b"connection: close" in await loop.sock_recv(client, 4096)


async def test_connections_that_the_kernel_took_for_us_are_served() -> None:
    async with serving(App()) as running:
        clients = [socket.create_connection(running.address) for _ in range(50)]  # nobody accepts meanwhile
        for client in clients:
            client.sendall(GET)
        running.stop()
        for client in clients:
            reader, writer = await asyncio.open_connection(sock=client)
            assert (await read_answer(reader))[1] == b"one,two."
            writer.close()


async def test_what_takes_longer_than_the_grace_period_is_told_to_come_back() -> None:
    app = App()
    app.gate.clear()
    async with serving(app, grace_period=0.2) as running:
        reader, writer = await asyncio.open_connection(*running.address)
        writer.write(GET)
        await app.asked.wait()
        running.stop()
        head, body = await read_answer(reader)
        assert head.startswith("http/1.1 503")
        assert "retry-after: 1" in head
        assert b'"code":"stopping"' in body
        writer.close()


async def test_a_listening_socket_that_turns_away_keeps_what_waits() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        first = socket.create_connection(listening.getsockname())
        door.turn_new_away(listening)
        with pytest.raises(TimeoutError):
            socket.create_connection(listening.getsockname(), timeout=0.2)
        accepted, _ = listening.accept()
        first.close()
        accepted.close()
