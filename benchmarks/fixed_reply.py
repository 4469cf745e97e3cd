"""A server that answers every request with the same bytes: what remains of a server once its work is taken away.

python -m benchmarks.fixed_reply reply.json --port 9200
"""

import argparse
import asyncio
from pathlib import Path
from typing import cast

import httptools
import uvloop


class FixedReply(asyncio.Protocol):
    """One connection, kept alive."""

    def __init__(self, reply: bytes) -> None:
        self._reply = reply
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: open."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """asyncio: part of a request."""
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """httptools: the end of a request."""
        self._transport.write(self._reply)


async def serve(body: bytes, *, port: int) -> None:
    """Answer on loopback until cancelled."""
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    reply = head.encode() + body
    server = await asyncio.get_running_loop().create_server(lambda: FixedReply(reply), "127.0.0.1", port)
    async with server:
        await server.serve_forever()


def main() -> None:
    """Serve until interrupted."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("body", type=Path)
    options.add_argument("--port", type=int, required=True)
    chosen = options.parse_args()
    uvloop.run(serve(chosen.body.read_bytes(), port=chosen.port))


if __name__ == "__main__":
    main()
