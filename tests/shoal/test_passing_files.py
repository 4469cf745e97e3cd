"""Files pass through a server piece by piece: they may take longer than other bodies, and count for what lies here."""

import asyncio
import contextlib

import pytest

from gateway.scope import FILE_KEY
from shoal import client_watch, process, server
from shoal.doorkeeper import Limits

pytestmark = pytest.mark.anyio
PIECE = b"x" * 50_000


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
def impatient(monkeypatch) -> None:
    monkeypatch.setattr(server, "LOOK_INTERVAL", 0.01)
    monkeypatch.setattr(client_watch, "HEAD_PATIENCE", 0.1)
    monkeypatch.setattr(client_watch, "BODY_PATIENCE", 0.1)
    monkeypatch.setattr(client_watch, "ANSWER_PATIENCE", 0.2)


async def app(scope, receive, send) -> None:
    """Counts the body and answers with as many bytes; on `/file` none of it is kept here."""
    if scope["path"] == "/file":
        scope[FILE_KEY] = True
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message["body"]), message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]})
    for start in range(0, size, len(PIECE)):
        part = {"type": "http.response.body", "body": b"x" * min(len(PIECE), size - start), "more_body": True}
        await send(part)
    await send({"type": "http.response.body", "body": b""})


async def talk(path: str, pieces: int, *, pause: float = 0.0, read_pause: float = 0.0, **limits) -> int:
    """Bytes of the answer that came."""
    stop, sock = process.StopSignal(), process.listen("127.0.0.1", 0)
    running = asyncio.create_task(process.serve(app, sock, stop, grace_period=0.2, limits=Limits(**limits)))
    heard = 0
    try:
        reader, writer = await asyncio.open_connection(*sock.getsockname(), limit=4096)
        with contextlib.suppress(ConnectionError):
            length = pieces * len(PIECE)
            writer.write(f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n".encode())
            for _ in range(pieces):
                if writer.is_closing():
                    break
                writer.write(PIECE)
                await writer.drain()
                await asyncio.sleep(pause)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            while heard < length and (part := await reader.read(30_000)):
                heard += len(part)
                await asyncio.sleep(read_pause)
        writer.close()
    except asyncio.IncompleteReadError:
        writer.close()
    finally:
        stop.set()
        await running
    return heard


@pytest.mark.usefixtures("impatient")
async def test_a_file_may_take_as_long_as_it_comes_and_goes() -> None:
    assert await talk("/file", 20, pause=0.02) == 20 * len(PIECE)
    assert await talk("/other", 20, pause=0.05) == 0


async def test_what_was_passed_on_does_not_count_as_held() -> None:
    assert await talk("/file", 60, memory=1_000_000) == 60 * len(PIECE)
    assert await talk("/other", 60, memory=1_000_000) == 0
