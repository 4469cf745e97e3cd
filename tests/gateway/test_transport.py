"""The transport against peers that behave well, badly, or not at all."""

import asyncio

import httpx
import pytest

from gateway.transport import AsyncioTransport

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Peer:
    """A server that answers the n-th request of each connection by `script(connection, request)`."""

    def __init__(self, script):
        self.script = script
        self.connections = 0
        self.requests = []

    async def serve(self, reader, writer):
        self.connections += 1
        number = self.connections
        try:
            for turn in range(100):
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length")), 0
                )
                self.requests.append(head + await reader.readexactly(length))
                answer = self.script(number, turn)
                if asyncio.iscoroutine(answer):
                    answer = await answer
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
                if b"connection: close" in answer or b"HTTP/1.0" in answer:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def talk(script, conversation, **options):
    """Run `conversation(send, peer)` against a peer with this script."""

    async def run():
        peer = Peer(script)
        server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        transport = AsyncioTransport(**options)

        async def send(body=b"", method="POST", **timeout):
            request = httpx.Request(
                method,
                f"http://127.0.0.1:{port}/path?q=1",
                content=body,
                headers={"x-test": "yes"},
                extensions={"timeout": {"connect": 5, "read": 5, "pool": 5, **timeout}},
            )
            response = await transport.handle_async_request(request)
            await response.aread()
            return response

        try:
            return await conversation(send, peer)
        finally:
            await transport.aclose()
            server.close()
            await server.wait_closed()

    return asyncio.run(run())


def test_a_request_is_written_as_httpx_made_it():
    async def conversation(send, peer):
        response = await send(b"body")
        assert (response.status_code, response.content) == (200, b"ok")
        head, body = peer.requests[0].split(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        assert lines[0] == b"POST /path?q=1 HTTP/1.1"
        assert b"x-test: yes" in lines
        assert lines.count(b"content-length: 4") == 1
        assert any(line.lower().startswith(b"host: 127.0.0.1:") for line in lines)
        assert body == b"body"

    talk(lambda *_: OK, conversation)


def test_connections_are_kept_and_reused():
    async def conversation(send, peer):
        for _ in range(5):
            await send(b"x")
        assert peer.connections == 1
        await asyncio.gather(*[send(b"x") for _ in range(3)])
        assert peer.connections == 3

    talk(lambda *_: OK, conversation)


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"abcde"),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nuntil the end", b"until the end"),
        (b"HTTP/1.0 200 OK\r\n\r\nold", b"old"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes", b"yes"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2000000\r\n\r\n" + b"x" * 2_000_000, b"x" * 2_000_000),
    ],
    ids=["chunked", "until close", "http 1.0", "interim reply", "no content", "large"],
)
def test_every_framing_of_replies_is_read(answer, body):
    async def conversation(send, peer):
        assert (await send(b"x")).content == body
        assert (await send(b"x")).content == body

    talk(lambda *_: answer, conversation)


def test_a_reply_in_single_bytes_is_read():
    async def dribble():
        return OK

    async def conversation(send, peer):
        assert (await send(b"x")).content == b"ok"

    talk(lambda *_: dribble(), conversation)


def test_a_stale_connection_is_replaced_without_the_caller_noticing():
    async def conversation(send, peer):
        await send(b"first")
        assert (await send(b"second")).content == b"ok"
        assert peer.connections == 2

    talk(lambda connection, turn: None if (connection, turn) == (1, 1) else OK, conversation)


def test_a_fresh_connection_that_closes_is_an_error_at_once():
    async def conversation(send, peer):
        with pytest.raises(httpx.RemoteProtocolError):
            await send(b"x")
        assert peer.connections == 1

    talk(lambda *_: None, conversation)


def test_a_reply_that_breaks_off_is_not_sent_again():
    half = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\nconnection: close\r\n\r\nhalf"

    async def conversation(send, peer):
        await send(b"first")
        with pytest.raises(httpx.RemoteProtocolError):
            await send(b"second")
        assert len(peer.requests) == 2

    talk(lambda connection, turn: half if turn else OK, conversation)


def test_what_is_no_http_is_an_error():
    async def conversation(send, peer):
        with pytest.raises(httpx.RemoteProtocolError, match=r"not HTTP/1\.1"):
            await send(b"x")

    talk(lambda *_: b"SSH-2.0-OpenSSH\r\n\r\n", conversation)


def test_silence_past_the_read_timeout_is_an_error():
    async def never():
        await asyncio.Event().wait()

    async def conversation(send, peer):
        with pytest.raises(httpx.ReadTimeout):
            await send(b"x", read=0.05)

    talk(lambda *_: never(), conversation)


def test_nobody_there_is_a_connect_error():
    async def run():
        async with AsyncioTransport() as transport:
            with pytest.raises(httpx.ConnectError):
                await transport.handle_async_request(httpx.Request("GET", "http://127.0.0.1:1/"))

    asyncio.run(run())


def test_a_cancelled_caller_closes_its_connection_and_no_other():
    released = []

    async def conversation(send, peer):
        gate = asyncio.Event()

        async def hold():
            await gate.wait()
            return OK

        peer.script = lambda connection, turn: OK if turn == 0 else hold()
        await asyncio.gather(send(b"a"), send(b"b"))
        waiting = [asyncio.create_task(send(b"x", method="PUT")) for _ in range(2)]
        while len(peer.requests) < 4:
            await asyncio.sleep(0)
        waiting[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting[0]
        gate.set()
        assert (await waiting[1]).content == b"ok"
        released.append(peer.connections)

    talk(None, conversation)
    assert released == [2]


def test_the_limit_of_connections_makes_callers_wait_their_turn():
    async def conversation(send, peer):
        replies = await asyncio.gather(*[send(b"x") for _ in range(50)])
        assert [reply.content for reply in replies] == [b"ok"] * 50
        assert peer.connections <= 2

    talk(lambda *_: OK, conversation, max_connections=2)


def test_waiting_for_a_connection_ends_with_the_pool_timeout():
    async def never():
        await asyncio.Event().wait()

    async def conversation(send, peer):
        first = asyncio.create_task(send(b"x"))
        while not peer.requests:
            await asyncio.sleep(0)
        with pytest.raises(httpx.PoolTimeout):
            await send(b"x", pool=0.05)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first

    talk(lambda *_: never(), conversation, max_connections=1)


def test_an_idle_connection_is_not_used_for_ever():
    async def conversation(send, peer):
        await send(b"x")
        await send(b"x")
        assert peer.connections == 2

    talk(lambda *_: OK, conversation, idle_seconds=0.0)


def test_head_replies_have_no_body_whatever_they_announce():
    async def conversation(send, peer):
        response = await send(method="HEAD")
        assert (response.status_code, response.content) == (200, b"")

    talk(lambda *_: b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n", conversation)


def test_closing_fails_what_is_under_way_and_refuses_what_comes():
    async def never():
        await asyncio.Event().wait()

    async def run():
        peer = Peer(lambda *_: never())
        server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        transport = AsyncioTransport()
        under_way = asyncio.create_task(transport.handle_async_request(httpx.Request("GET", url)))
        while not peer.requests:
            await asyncio.sleep(0)
        await transport.aclose()
        with pytest.raises(httpx.TransportError):
            await under_way
        with pytest.raises(httpx.ConnectError):
            await transport.handle_async_request(httpx.Request("GET", url))
        server.close()

    asyncio.run(run())


def test_httpx_clients_can_stand_on_it():
    async def run():
        peer = Peer(lambda *_: OK)
        server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with httpx.AsyncClient(transport=AsyncioTransport()) as client:
            assert (await client.post(url, json={"a": 1})).text == "ok"
            assert (await client.get(url)).text == "ok"
        server.close()

    asyncio.run(run())
