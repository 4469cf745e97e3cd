"""Replies that are read as they come: nothing waits for the end, slow readers hold their peers, all is bounded."""

import asyncio
from contextlib import asynccontextmanager

import httpx
import pytest

from gateway.http1 import ReplyTooLarge
from gateway.http1_stream import MOST_AHEAD
from gateway.transport import AsyncioTransport

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


@asynccontextmanager
async def peer(*scripts, **options):
    """A server whose n-th connection is served by the n-th script, and a transport to it."""
    served, connections = list(scripts), []

    async def serve(reader, writer):
        connections.append(writer)
        try:
            await served[min(len(connections), len(served)) - 1](reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with AsyncioTransport(**{"streaming": True, **options}) as transport:

        async def send(*, stream=True, read=5.0, body=b"{}"):
            timeout = {"connect": 5, "read": read, "pool": 5}
            extensions = {"timeout": timeout, "stream": stream}
            return await transport.handle_async_request(httpx.Request("POST", url, content=body, extensions=extensions))

        try:
            yield send, connections
        finally:
            for writer in connections:
                writer.close()
            server.close()


async def request(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
    )
    return head + await reader.readexactly(length)


pytestmark = pytest.mark.anyio


async def test_every_piece_is_there_before_the_next_one_is_sent():
    taken = asyncio.Queue()

    async def serve(reader, writer):
        await request(reader)
        writer.write(HEAD)
        for number in range(20):
            writer.write(chunk(b"piece %d" % number))
            assert await taken.get() == b"piece %d" % number  # nothing is sent before this one was read
        writer.write(b"0\r\n\r\n")

    async with peer(serve) as (send, _):
        response = await send()
        pieces = []
        async for piece in response.aiter_raw():
            pieces.append(piece)
            taken.put_nowait(piece)
    assert pieces == [b"piece %d" % number for number in range(20)]


async def test_a_connection_whose_stream_came_to_its_end_serves_the_next_request():
    async def serve(reader, writer):
        for _ in range(3):
            await request(reader)
            writer.write(HEAD + chunk(b"all") + b"0\r\n\r\n")
        await request(reader)
        writer.write(WHOLE)
        await reader.read()

    async with peer(serve) as (send, connections):
        for _ in range(3):
            assert await (await send()).aread() == b"all"
        assert await (await send(stream=False)).aread() == b"ok"
        assert len(connections) == 1


async def test_closing_a_stream_before_its_end_closes_the_connection():
    closed = asyncio.Event()

    async def serve(reader, writer):
        await request(reader)
        writer.write(HEAD + chunk(b"first"))
        assert await reader.read() == b""
        closed.set()

    async with peer(serve) as (send, _):
        response = await send()
        pieces = response.stream.__aiter__()
        assert await anext(pieces) == b"first"
        await response.aclose()
        await asyncio.wait_for(closed.wait(), 5)


async def test_a_reader_that_does_not_read_makes_the_peer_wait():
    written, stuck = 0, asyncio.Event()

    async def serve(reader, writer):
        nonlocal written
        await request(reader)
        writer.write(HEAD)
        piece = chunk(b"x" * 65536)
        while written < 64 * MOST_AHEAD:
            writer.write(piece)
            try:
                await asyncio.wait_for(writer.drain(), 0.3)
            except TimeoutError:
                stuck.set()
                await writer.drain()
            written += 65536
        writer.write(b"0\r\n\r\n")
        await reader.read()

    async with peer(serve) as (send, _):
        response = await send()
        await asyncio.wait_for(stuck.wait(), 10)
        assert written < 64 * MOST_AHEAD
        total = 0
        async for piece in response.aiter_raw():
            total += len(piece)
    assert total == 64 * MOST_AHEAD


async def test_a_stream_that_breaks_off_is_an_error_after_what_has_come():
    async def serve(reader, writer):
        await request(reader)
        writer.write(HEAD + chunk(b"half"))
        await writer.drain()

    async with peer(serve) as (send, _):
        pieces = (await send()).stream.__aiter__()
        assert await anext(pieces) == b"half"
        with pytest.raises(httpx.RemoteProtocolError):
            await anext(pieces)


async def test_a_stream_that_stands_still_is_an_error():
    async def serve(reader, writer):
        await request(reader)
        writer.write(HEAD + chunk(b"half"))
        await reader.read()

    async with peer(serve) as (send, _):
        pieces = (await send(read=0.05)).stream.__aiter__()
        assert await anext(pieces) == b"half"
        with pytest.raises(httpx.ReadTimeout):
            await anext(pieces)


async def test_no_head_in_time_is_an_error():
    async def serve(reader, writer):
        await request(reader)
        await reader.read()

    async with peer(serve) as (send, _):
        with pytest.raises(httpx.ReadTimeout):
            await send(read=0.05)


async def test_a_whole_reply_above_the_limit_is_refused_and_a_stream_may_be_longer():
    async def serve(reader, writer):
        await request(reader)
        writer.write(HEAD + chunk(b"x" * 5000) + b"0\r\n\r\n")
        await reader.read()

    async with peer(serve, reply_limit=4000) as (send, _):
        with pytest.raises(ReplyTooLarge):
            await send(stream=False)
        assert len(await (await send()).aread()) == 5000


async def test_a_head_without_end_is_refused():
    async def serve(reader, writer):
        await request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while not writer.is_closing():
            writer.write(b"x-more: " + b"x" * 8000 + b"\r\n")
            await writer.drain()
            await asyncio.sleep(0)

    async with peer(serve) as (send, _):
        with pytest.raises(httpx.RemoteProtocolError):
            await send(stream=False)


async def test_a_connection_that_answered_twice_is_not_used_again():
    async def serve(reader, writer):
        await request(reader)
        writer.write(HEAD + chunk(b"mine") + b"0\r\n\r\n" + HEAD + chunk(b"not asked for") + b"0\r\n\r\n")
        await reader.read()

    async def honest(reader, writer):
        await request(reader)
        writer.write(HEAD + chunk(b"yours") + b"0\r\n\r\n")
        await reader.read()

    async with peer(serve, honest) as (send, connections):
        await (await send()).aread()
        assert await (await send()).aread() == b"yours"
        assert len(connections) == 2


async def test_a_stale_connection_is_replaced_before_the_first_byte():
    async def once(reader, writer):
        await request(reader)
        writer.write(HEAD + chunk(b"one") + b"0\r\n\r\n")
        await request(reader)

    async def serve(reader, writer):
        await request(reader)
        writer.write(HEAD + chunk(b"two") + b"0\r\n\r\n")
        await reader.read()

    async with peer(once, serve) as (send, connections):
        assert await (await send()).aread() == b"one"
        assert await (await send()).aread() == b"two"
        assert len(connections) == 2


async def test_a_redirect_is_an_answer_and_is_not_followed():
    async def serve(reader, writer):
        await request(reader)
        writer.write(b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n")
        await reader.read()

    async with peer(serve) as (send, connections):
        assert (await send(stream=False)).status_code == 302
        assert len(connections) == 1


async def test_a_connection_whose_reader_was_slow_until_the_end_serves_the_next_request():
    async def serve(reader, writer):
        for _ in range(2):
            await request(reader)
            body = b"x" * (MOST_AHEAD + 1)  # its last byte is one too many
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()

    async with peer(serve, serve) as (send, connections):
        response = await send()
        while response.stream._connection._received <= MOST_AHEAD:  # nobody reads, so the peer is held
            await asyncio.sleep(0.001)
        assert sum([len(piece) async for piece in response.aiter_raw()]) == MOST_AHEAD + 1
        assert len(await (await send(stream=False)).aread()) == MOST_AHEAD + 1
        assert len(connections) == 1


async def test_a_peer_that_would_speak_something_else_is_no_peer():
    async def serve(reader, writer):
        await request(reader)
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nhello")
        await reader.read()

    async with peer(serve) as (send, _):
        with pytest.raises(httpx.RemoteProtocolError, match="not HTTP"):
            await send(stream=False)
