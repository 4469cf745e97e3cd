"""An engine node without an engine: speaks the protocol, answers at once (or after `--delay-ms`) with made-up vectors.

It exists to measure the gateway alone and to test it. Vectors depend on the text only and have unit length; a text
counts one token per word plus two. Texts that steer it: `__sleep <seconds>__` answers late, `__crash__` drops the
connection, `__error <code>__` answers with that ErrorReply.

    python -m benchmarks.fake_engine --port 9100 --dimensions 384
"""

import argparse
import asyncio
import math
import random
import re
import struct
from functools import lru_cache
from typing import cast

import httptools
import msgspec
import uvloop

from engine.protocol import (
    MEDIA_TYPE,
    PROTOCOL_VERSION,
    EmbedReply,
    EmbedRequest,
    ErrorReply,
    NodeStatus,
    RerankReply,
    RerankRequest,
    Timings,
)

DEFAULT_LIMIT = 512
STEERING = re.compile(r"__(sleep|error|crash)(?: ([\w.]+))?__")
ERROR_STATUS = {"queue_full": 429, "model_loading": 503, "draining": 503, "inference_failed": 500, "unauthorized": 401}


@lru_cache(maxsize=65536)
def vector(text: str, dimensions: int) -> bytes:
    """A unit vector of little-endian float32 that depends on the text only."""
    source = random.Random(text)
    values = [source.uniform(-1, 1) for _ in range(dimensions)]
    norm = math.sqrt(sum(value * value for value in values))
    return struct.pack(f"<{dimensions}f", *(value / norm for value in values))


class FakeEngine:
    """What the node answers; counts what it saw."""

    def __init__(self, *, dimensions: int = 384, delay: float = 0.0, secret: str = "") -> None:
        self.dimensions = dimensions
        self.delay = delay
        self.secret = secret
        self.ready = True
        self.calls = 0
        self.cancelled = 0
        self._embed = msgspec.msgpack.Decoder(EmbedRequest)
        self._rerank = msgspec.msgpack.Decoder(RerankRequest)
        self._encode = msgspec.msgpack.Encoder().encode

    def answer(self, path: bytes, authorization: bytes, body: bytes) -> tuple[int, bytes, float]:
        """Status, body, and the seconds to wait before sending them."""
        if self.secret and authorization != b"Bearer " + self.secret.encode():
            return 401, self._encode(ErrorReply("unauthorized", "Wrong secret.")), 0.0
        if path == b"/status":
            return 200, self._encode(self.status()), 0.0
        self.calls += 1
        if path == b"/embed":
            request = self._embed.decode(body)
            return self._steered(request.inputs, self._embedded(request))
        if path == b"/rerank":
            rerank = self._rerank.decode(body)
            return self._steered(rerank.documents, self._reranked(rerank))
        if path in {b"/load", b"/unload", b"/pin", b"/unpin"}:
            return 200, self._encode(self.status()), 0.0
        return 404, self._encode(ErrorReply("not_found", "No such call.")), 0.0

    def status(self) -> NodeStatus:
        """Healthy, empty and free."""
        return NodeStatus(PROTOCOL_VERSION, "fake", "cpu", self.ready, 2**30, 0, 0, 0, 0.0, [])

    def _steered(self, texts: list[str], reply: EmbedReply | RerankReply | ErrorReply) -> tuple[int, bytes, float]:
        delay = self.delay
        for text in texts:
            if "__" not in text or (steering := STEERING.search(text)) is None:
                continue
            if steering[1] == "crash":
                raise ConnectionAbortedError
            if steering[1] == "sleep":
                delay += float(steering[2])
            if steering[1] == "error":
                reply = ErrorReply(steering[2], f"Told to fail with {steering[2]}.", retry_after=1.5)
        if isinstance(reply, ErrorReply):
            return ERROR_STATUS.get(reply.code, 400), self._encode(reply), delay
        return 200, self._encode(reply), delay

    def _embedded(self, request: EmbedRequest) -> EmbedReply | ErrorReply:
        width = request.dimensions or self.dimensions
        if width > self.dimensions:
            return ErrorReply("dimensions_unsupported", "Too wide.", limit=self.dimensions, actual=width)
        limit = request.model.max_tokens or DEFAULT_LIMIT
        counts = [_count(text) for text in request.inputs]
        truncated = [index for index, count in enumerate(counts) if count > limit]
        if truncated and not request.truncate:
            index = truncated[0]
            return ErrorReply("input_too_long", "Too long.", index=index, limit=limit, actual=counts[index])
        vectors = b"".join([vector(text, width) for text in request.inputs])
        return EmbedReply(width, vectors, [min(count, limit) for count in counts], truncated, Timings())

    def _reranked(self, request: RerankRequest) -> RerankReply:
        query = set(request.query.lower().split())
        scores = [_overlap(query, document) for document in request.documents]
        tokens = _count(request.query) + sum(map(_count, request.documents))
        return RerankReply(scores, tokens, [], Timings())


class FakeEngineProtocol(asyncio.Protocol):
    """The server side of one connection: asyncio's callbacks, then httptools'."""

    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine
        self._parser = httptools.HttpRequestParser(self)
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:  # noqa: D102
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, ConnectionAbortedError):
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002, D102
        if self._timer is not None:
            self._timer.cancel()
            self._engine.cancelled += 1

    def on_message_begin(self) -> None:  # noqa: D102
        self._path = b""
        self._authorization = b""
        self._body: list[bytes] = []

    def on_url(self, url: bytes) -> None:  # noqa: D102
        self._path += url

    def on_header(self, name: bytes, value: bytes) -> None:  # noqa: D102
        if name.lower() == b"authorization":
            self._authorization = value

    def on_body(self, body: bytes) -> None:  # noqa: D102
        self._body.append(body)

    def on_message_complete(self) -> None:  # noqa: D102
        status, body, delay = self._engine.answer(self._path, self._authorization, b"".join(self._body))
        if delay:
            self._timer = self._loop.call_later(delay, self._send, status, body)
        else:
            self._send(status, body)

    def _send(self, status: int, body: bytes) -> None:
        self._timer = None
        head = b"HTTP/1.1 %d -\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n"
        self._transport.write(head % (status, MEDIA_TYPE.encode(), len(body)) + body)


async def serve(engine: FakeEngine, *, host: str = "127.0.0.1", port: int = 0) -> asyncio.Server:
    """Listen; the caller closes the server."""
    return await asyncio.get_running_loop().create_server(lambda: FakeEngineProtocol(engine), host, port)


def main() -> None:
    """Serve until interrupted."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--port", type=int, default=9100)
    options.add_argument("--delay-ms", type=float, default=0.0)
    options.add_argument("--dimensions", type=int, default=384)
    options.add_argument("--secret", default="")
    chosen = options.parse_args()
    engine = FakeEngine(dimensions=chosen.dimensions, delay=chosen.delay_ms / 1000, secret=chosen.secret)
    uvloop.run(_serve_forever(engine, chosen.port))


async def _serve_forever(engine: FakeEngine, port: int) -> None:
    async with await serve(engine, port=port) as server:
        print(f"fake engine on http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        await server.serve_forever()


def _count(text: str) -> int:
    return len(text.split()) + 2


def _overlap(query: set[str], document: str) -> float:
    words = set(document.lower().split())
    return len(query & words) / max(1, len(query | words))


if __name__ == "__main__":
    main()
