"""A tiny embeddings server on a thread of its own, with a script for what it does to each request."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

TOKENS = 7
Script = Callable[[int], str]


@dataclass
class ToyServer:
    """`script` gets a request's number (the first is 0) and says `ok`, `busy`, `close`, `drop`, `slow` or `odd`."""

    script: Script
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    url: str = ""

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                what = self.script(len(self.requests))
                self.requests.append(head + await reader.readexactly(length))
                if what == "drop":
                    break
                if what == "slow":
                    await asyncio.sleep(0.05)
                writer.write(self.answer(what))
                if what == "close":
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def answer(self, what: str) -> bytes:
        status, body = "200 OK", {"object": "list", "data": [], "usage": {"prompt_tokens": TOKENS}}
        if what == "busy":
            status, body = "429 Too Many Requests", {"message": "Come back later."}
        if what == "odd":
            body = {"hello": "world"}
        data = json.dumps(body).encode()
        end = "connection: close\r\n" if what == "close" else ""
        return f"HTTP/1.1 {status}\r\ncontent-length: {len(data)}\r\n{end}\r\n".encode() + data


@pytest.fixture
def toy_server() -> Iterator[Callable[[Script], ToyServer]]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    servers: list[asyncio.Server] = []

    def start(script: Script = lambda _: "ok") -> ToyServer:
        toy = ToyServer(script)
        server = asyncio.run_coroutine_threadsafe(asyncio.start_server(toy.converse, "127.0.0.1", 0), loop).result()
        servers.append(server)
        toy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return toy

    async def stop() -> None:
        for server in servers:
            server.close()
        await asyncio.sleep(0)  # for a connection that has just come
        async with asyncio.timeout(10):
            while talking := asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.wait(talking)  # clients have hung up: a task cut off before it began would close nothing

    yield start
    asyncio.run_coroutine_threadsafe(stop(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
