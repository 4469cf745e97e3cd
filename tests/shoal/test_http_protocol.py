"""The bounds on what a connection may send before anybody has asked who it is."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from shoal import client_watch, process, server
from shoal.doorkeeper import Limits

MOST_HEAD = Limits().head
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
    if (b"x-show", b"headers") in scope["headers"]:
        text += repr(scope["headers"]).encode()
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
            while not reader.at_eof() and sent < 20 * MOST_HEAD:
                writer.write(b"a" * 65536)
                await writer.drain()
                await asyncio.sleep(0)
                sent += 65536
        return b"cut off" if sent < 20 * MOST_HEAD else b"never"

    assert converse(talk) == b"cut off"


def test_many_small_headers_are_as_bounded_as_one_large_one() -> None:
    heard = converse(send_then_read(b"GET / HTTP/1.1\r\n", b"name: a value of some length\r\n" * 30_000))
    assert heard.startswith(b"HTTP/1.1 431 ") or heard == b""  # unread bytes may reset the connection


def test_a_large_body_is_not_taken_for_a_head() -> None:
    body = b"b" * (4 * MOST_HEAD)
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
    monkeypatch.setattr(server, "LOOK_INTERVAL", 0.01)
    monkeypatch.setattr(client_watch, "HEAD_PATIENCE", 0.02)
    monkeypatch.setattr(client_watch, "BODY_PATIENCE", 0.02)
    monkeypatch.setattr(server, "KEEP_ALIVE", 0)

    async def talk(reader, writer) -> bytes:
        writer.write(beginning)
        with contextlib.suppress(ConnectionError):  # closed before what was sent was read
            return await reader.read()
        return b""

    assert converse(talk) == b""


CHUNKED, NEXT = b"transfer-encoding: chunked", b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n"
AMBIGUOUS = {
    "length and chunked": b"content-length: 4\r\n" + CHUNKED,
    "chunked and length": CHUNKED + b"\r\ncontent-length: 4",
    "two lengths": b"content-length: 0\r\ncontent-length: 47",
    "one length twice": b"content-length: 5\r\ncontent-length: 5",
    "a list of lengths": b"content-length: 0, 47",
    "a signed length": b"content-length: +5",
    "a negative length": b"content-length: -1",
    "a length of hex": b"content-length: 0x5",
    "a length of words": b"content-length: 5 5",
    "an endless length": b"content-length: 99999999999999999999999",
    "a folded line": b"x-a: b\r\n content-length: 5",
    "a folded encoding": b"transfer-encoding:\r\n chunked\r\ncontent-length: 5",
    "an unknown encoding": b"transfer-encoding: xchunked",
    "an encoding after chunked": b"transfer-encoding: chunked, identity",
    "two encodings": CHUNKED + b"\r\ntransfer-encoding: identity",
    "a space before the colon": b"transfer-encoding : chunked\r\ncontent-length: 5",
    "a tab before the colon": b"content-length\t: 5",
    "a space before the name": b" transfer-encoding: chunked",
    "a bare line feed": b"x: a\ntransfer-encoding: chunked",
    "a bare carriage return": b"x: a\rtransfer-encoding: chunked",
    "a NUL in a value": b"authorization: Bearer a\0b\r\n" + CHUNKED,
    "a NUL in a name": b"authorization\0: Bearer a\r\n" + CHUNKED,
    "no name": b": a\r\n" + CHUNKED,
    "no colon": b"transfer-encoding\r\n" + CHUNKED,
}


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_a_request_of_which_two_parsers_may_think_differently_is_not_served(case) -> None:
    """No second request comes out of one that a proxy before us took for one."""
    heard = converse(send_then_read(b"POST /first HTTP/1.1\r\nhost: x\r\n%b\r\n\r\n" % AMBIGUOUS[case] + NEXT))
    assert heard == b"" or heard.startswith(b"HTTP/1.1 400 ")
    assert heard.count(b"HTTP/1.1 ") <= 1
    assert b"smuggled" not in heard


@pytest.mark.parametrize(
    "body",
    [
        b"-2\r\nab\r\n", b"fffffffffffffffff\r\nab\r\n", b"2\nab\n", b"2 \r\nab\r\n", b"0x2\r\nab\r\n",
        b"2\r\nabcd\r\n", b"\r\nab\r\n", b"2;\0\r\nab\r\n", b"g\r\n",
    ],
)  # fmt: skip
def test_a_chunk_of_unclear_length_ends_the_connection(body) -> None:
    heard = converse(send_then_read(b"POST /first HTTP/1.1\r\nhost: x\r\n%b\r\n\r\n%b%b" % (CHUNKED, body, NEXT)))
    assert b"HTTP/1.1 200 " not in heard
    assert b"smuggled" not in heard


def test_what_comes_behind_a_body_is_no_header() -> None:
    """Else a caller could say there what a proxy before us would have taken out of the head."""
    head = b"POST / HTTP/1.1\r\nx-show: headers\r\nconnection: close\r\n%b\r\n\r\n" % CHUNKED
    trailers = b"authorization: Bearer a\r\nx-forwarded-for: 10.0.0.1\r\n"
    for pieces in ([head + b"2\r\nab\r\n0\r\n" + trailers + b"\r\n"], [head, b"2\r\nab\r\n0\r\n", trailers + b"\r\n"]):
        heard = converse(send_then_read(*pieces))
        assert b"x-show" in heard
        assert b"authorization" not in heard
        assert b"x-forwarded-for" not in heard


def test_headers_of_the_request_before_are_not_those_of_the_next() -> None:
    first = b"GET /first HTTP/1.1\r\nauthorization: Bearer a\r\nx-show: headers\r\n\r\n"
    heard = converse(send_then_read(first + b"GET /next HTTP/1.1\r\nx-show: headers\r\nconnection: close\r\n\r\n"))
    assert heard.count(b"HTTP/1.1 200 ") == 2
    assert b"authorization" not in heard.partition(b"GET /next ")[2]
