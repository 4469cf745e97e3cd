"""The bounds on what a connection may send before anybody has asked who it is."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from shoal import http_protocol, process

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bytes]]


async def echo(scope, receive, send) -> None:
    """Answers with the method, the path and the body of the request."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    text = f"{scope['method']} {scope['path']} ".encode() + body
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(text))]})
    await send({"type": "http.response.body", "body": text})


def converse(talk: Talk) -> bytes:
    """What `talk` returns after its conversation with a server of `echo`."""

    async def run() -> bytes:
        stop, sock = process.StopSignal(), process.listen("127.0.0.1", 0)
        serving = asyncio.create_task(process.serve(echo, sock, stop, grace_period=1))
        reader, writer = await asyncio.open_connection(*sock.getsockname())
        try:
            async with asyncio.timeout(20):
                return await talk(reader, writer)
        finally:
            writer.close()
            stop.set()
            await serving
            sock.close()

    return asyncio.run(run())


def send_then_read(*pieces: bytes) -> Talk:
    async def talk(reader, writer) -> bytes:
        heard = b""
        for piece in pieces:
            writer.write(piece)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    heard += await reader.read(65536)
        with contextlib.suppress(ConnectionError):
            heard += await reader.read()  # until the server closes
        return heard

    return talk


@pytest.mark.parametrize(
    "before",
    [
        b"GET / HTTP/1.1\r\nx: ",
        b"GET /",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx: ",
    ],
    ids=["header", "target", "trailer"],
)
def test_a_head_without_end_is_cut_off(before) -> None:
    async def talk(reader, writer) -> bytes:
        writer.write(before)
        sent = 0
        with contextlib.suppress(ConnectionError):
            while not reader.at_eof() and sent < 20 * http_protocol.MOST_HEAD:
                writer.write(b"a" * 65536)
                await writer.drain()
                await asyncio.sleep(0)
                sent += 65536
        return b"cut off" if sent < 20 * http_protocol.MOST_HEAD else b"never"

    assert converse(talk) == b"cut off"


def test_many_small_headers_are_as_bounded_as_one_large_one() -> None:
    heard = converse(send_then_read(b"GET / HTTP/1.1\r\n", b"name: a value of some length\r\n" * 30_000))
    assert heard.startswith(b"HTTP/1.1 431 ") or heard == b""  # unread bytes may reset the connection


def test_a_large_body_is_not_taken_for_a_head() -> None:
    body = b"b" * (4 * http_protocol.MOST_HEAD)
    heard = converse(
        send_then_read(b"POST / HTTP/1.1\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    )
    assert heard.startswith(b"HTTP/1.1 200 ")
    assert heard.endswith(body[-1000:])


@pytest.mark.parametrize("offer", [b"upgrade: h2c\r\nhttp2-settings: AAMAAABk", b"upgrade: websocket"])
@pytest.mark.parametrize("pieces", [1, 2])
def test_an_offer_to_upgrade_is_ignored_and_the_body_is_kept(offer, pieces) -> None:
    head = b"POST /x HTTP/1.1\r\nconnection: Upgrade, HTTP2-Settings\r\n%b\r\ncontent-length: 29\r\n\r\n" % offer
    body = b"GET /smuggled HTTP/1.1\r\nx: y\r\n"[:29]
    following = b"GET /next HTTP/1.1\r\nconnection: close\r\n\r\n"
    heard = converse(send_then_read(*([head + body] if pieces == 1 else [head, body]), following))
    assert heard.count(b"HTTP/1.1 200 ") == 2
    assert b"POST /x " + body in heard
    assert heard.endswith(b"GET /next ")


def test_a_declined_offer_keeps_the_wish_to_close() -> None:
    heard = converse(send_then_read(b"GET /x HTTP/1.1\r\nconnection: close, upgrade\r\nupgrade: h2c\r\n\r\n"))
    assert b"connection: close" in heard
    assert heard.endswith(b"GET /x ")


@pytest.mark.parametrize("nonsense", [b"nonsense\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\n\r\n"])
def test_what_is_no_request_is_refused_in_json(nonsense) -> None:
    heard = converse(send_then_read(nonsense))
    assert heard.startswith(b"HTTP/1.1 400 ")
    assert b'"type":"invalid_request_error"' in heard


@pytest.mark.parametrize(
    "beginning",
    [b"", b"GET / HTTP/1.1\r\nx: a", b"POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nab"],
    ids=["nothing", "head", "body"],
)
def test_a_request_that_does_not_arrive_is_not_waited_for(monkeypatch, beginning) -> None:
    monkeypatch.setattr(http_protocol, "LOOK_INTERVAL", 0.01)
    monkeypatch.setattr(http_protocol, "HEAD_PATIENCE", 0.02)
    monkeypatch.setattr(http_protocol, "BODY_PATIENCE", 0.02)
    monkeypatch.setattr(process, "KEEP_ALIVE", 0)

    async def talk(reader, writer) -> bytes:
        writer.write(beginning)
        return await reader.read()

    assert converse(talk) == b""
