"""What clients may take of a server before and beside any quota: connections, headers, time and memory."""

import asyncio
import contextlib
import resource
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shoal import client_watch, doorkeeper, http_protocol, process, server
from shoal.doorkeeper import Doorkeeper, Limits, Verdict

pytestmark = pytest.mark.anyio
GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
LARGE = 16 * 1024**2


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}


class App:
    """Reads the body, then answers with as many bytes as the path says, when its gate is open."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.open = 0

    async def __call__(self, scope, receive, send) -> None:
        self.open += 1
        try:
            while (message := await receive())["type"] == "http.request" and message.get("more_body"):
                pass
            await self.gate.wait()
            body = b"x" * int(scope["path"][1:] or 2)
            headers = [(b"content-length", b"%d" % len(body))]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})
        finally:
            self.open -= 1


@contextlib.asynccontextmanager
async def serving(app: App, **limits) -> AsyncIterator[tuple[str, int]]:
    stop, sock = process.StopSignal(), process.listen("127.0.0.1", 0)
    running = asyncio.create_task(process.serve(app, sock, stop, grace_period=0.2, limits=Limits(**limits)))
    try:
        async with asyncio.timeout(30):
            yield sock.getsockname()
    finally:
        stop.set()
        await running


@contextlib.asynccontextmanager
async def connected(address, source: str = "127.0.0.1"):
    reader, writer = await asyncio.open_connection(*address, local_addr=(source, 0))
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def ask(address, source: str = "127.0.0.1") -> bytes:
    """All that comes back for one request."""
    async with connected(address, source) as (reader, writer):
        writer.write(GET.replace(b"host", b"connection: close\r\nhost"))
        with contextlib.suppress(ConnectionError):
            return await reader.read()
        return b""


async def until(condition) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 21 + b"\r\n", b"431"),
        (b"GET / HTTP/1.1\r\na: " + b"b" * 30_000 + b"\r\n\r\n", b"431"),
        (b"GET /" + b"1" * 17_000 + b" HTTP/1.1\r\n\r\n", b"414"),
    ],
    ids=["many headers", "large headers", "a long address"],
)
async def test_what_no_client_sends_is_refused_in_the_shape_of_all_errors(request_, status) -> None:
    async with serving(App(), fields=20, head=4096) as address, connected(address) as (reader, writer):
        writer.write(request_)
        heard = await reader.read()
        assert heard.startswith(b"HTTP/1.1 " + status)
        assert b'"type":"invalid_request_error"' in heard


async def test_an_endless_head_is_cut_off_soon_after_its_bound() -> None:
    async with serving(App(), head=4096) as address, connected(address) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\na: ")
        sent = 0
        with contextlib.suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(b"b" * 1024)
                await writer.drain()
                await asyncio.sleep(0)
                sent += 1024
                assert sent < 4096 + 4 * http_protocol.SLICE


async def test_requests_that_queue_on_one_connection_are_served_in_turn_up_to_a_bound() -> None:
    app = App()
    async with serving(app) as address:
        async with connected(address) as (reader, writer):
            writer.write(GET * (http_protocol.MOST_WAITING + 1))
            for _ in range(http_protocol.MOST_WAITING + 1):
                assert (await reader.readuntil(b"xx")).startswith(b"HTTP/1.1 200")
        app.gate.clear()
        async with connected(address) as (reader, writer):
            writer.write(GET * (http_protocol.MOST_WAITING + 2))
            assert await reader.read() == b""


async def test_connections_beyond_the_limit_are_told_to_come_back_and_taken_when_there_is_room() -> None:
    async with serving(App(), connections=2) as address:
        async with connected(address) as (reader, writer), connected(address) as (other, _):
            for one in (reader, other):
                assert not one.at_eof()
            writer.write(GET)
            assert (await reader.readuntil(b"xx")).startswith(b"HTTP/1.1 200")
            refused = await ask(address)
            assert refused.startswith(b"HTTP/1.1 503")
            assert b"retry-after: 1" in refused
            assert b"connection: close" in refused
            assert b'"code":"too_many_connections"' in refused
        await asyncio.sleep(0.05)
        assert (await ask(address)).startswith(b"HTTP/1.1 200")


async def test_one_address_may_not_take_all_connections_but_a_trusted_proxy_may() -> None:
    limits = {"connections_per_address": 1, "trusted": ("127.0.0.9",)}
    async with (
        serving(App(), **limits) as address,
        connected(address, "127.0.0.1"),
        connected(address, "127.0.0.9"),
    ):
        await asyncio.sleep(0.05)
        assert (await ask(address, "127.0.0.1")).startswith(b"HTTP/1.1 503")
        assert (await ask(address, "127.0.0.2")).startswith(b"HTTP/1.1 200")
        assert (await ask(address, "127.0.0.9")).startswith(b"HTTP/1.1 200")


def test_who_is_told_so_is_counted_too() -> None:
    keeper = Doorkeeper(Limits(connections=1))
    assert keeper.enter("a") is Verdict.SERVE
    told = [keeper.enter("a") for _ in range(doorkeeper.TURNED_AWAY_IN_WORDS + 2)]
    assert told == [Verdict.REFUSE] * doorkeeper.TURNED_AWAY_IN_WORDS + [Verdict.DROP] * 2
    for verdict in told:
        keeper.leave("a", verdict)
    assert keeper.enter("a") is Verdict.REFUSE
    keeper.leave("a", Verdict.SERVE)
    assert keeper.enter("a") is Verdict.SERVE


@pytest.mark.parametrize("patience", ["STALL_PATIENCE", "ANSWER_PATIENCE"])
async def test_a_reader_who_leaves_his_answer_lying_is_cut_off(monkeypatch, patience) -> None:
    monkeypatch.setattr(client_watch, patience, 0.1)
    monkeypatch.setattr(server, "LOOK_INTERVAL", 0.02)
    async with serving(App()) as address:
        with socket.create_connection(address) as client:
            client.setblocking(False)
            client.send(b"GET /%d HTTP/1.1\r\nhost: x\r\n\r\n" % LARGE)
            await asyncio.sleep(0.5)
            got = 0
            with contextlib.suppress(ConnectionError):
                while piece := await asyncio.get_running_loop().sock_recv(client, 65536):
                    got += len(piece)
            assert got < LARGE


async def test_a_reader_who_is_slow_but_steady_gets_it_all(monkeypatch) -> None:
    monkeypatch.setattr(client_watch, "STALL_PATIENCE", 0.3)
    monkeypatch.setattr(server, "LOOK_INTERVAL", 0.02)
    async with serving(App()) as address:
        with socket.create_connection(address) as client:
            client.setblocking(False)
            client.send(b"GET /%d HTTP/1.1\r\nhost: x\r\n\r\n" % LARGE)
            got = 0
            while got < LARGE:
                got += len(await asyncio.get_running_loop().sock_recv(client, 256 * 1024))
                await asyncio.sleep(0.005)


async def test_what_slow_clients_hold_together_is_bounded_and_the_longest_pay(monkeypatch) -> None:
    monkeypatch.setattr(server, "LOOK_INTERVAL", 0.05)
    app = App()
    head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2000000\r\n\r\n"
    async with serving(app, memory=5_500_000) as address, contextlib.AsyncExitStack() as stack:
        clients = []
        for number in range(8):
            clients.append(await stack.enter_async_context(connected(address)))
            clients[-1][1].write(head + b"b" * 1_000_000)
            await asyncio.sleep(0.1)
            assert app.open == min(number + 1, 5)
        gone = [reader.at_eof() or reader.exception() is not None for reader, _ in clients]
        assert gone == [True] * 3 + [False] * 5
        clients[-1][1].write(b"b" * 1_000_000)
        assert (await clients[-1][0].readuntil(b"xx")).startswith(b"HTTP/1.1 200")


async def test_two_thousand_slow_clients_do_not_fill_the_memory() -> None:
    """A thousand who never end their heads, a thousand who never take their answers; others are served meanwhile."""
    app = App()
    async with serving(app, memory=64 * 1024**2) as address, contextlib.AsyncExitStack() as stack:
        before = _resident()
        for number in range(2000):
            client = stack.enter_context(socket.create_connection(address))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            with contextlib.suppress(BlockingIOError):
                client.setblocking(False)
                client.send(
                    b"GET / HTTP/1.1\r\na: " + b"b" * 50_000 if number % 2 else b"GET /4000000 HTTP/1.1\r\n\r\n"
                )
            await asyncio.sleep(0)
        await asyncio.sleep(2 * server.LOOK_INTERVAL + 0.5)
        assert _resident() - before < 400 * 1024**2
        async with asyncio.timeout(5):
            assert (await ask(address)).startswith(b"HTTP/1.1 200")


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
