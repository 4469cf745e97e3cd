"""An engine node without an engine: speaks the protocol, answers at once (or after `--delay-ms`) with made-up vectors.

It exists to measure the gateway alone and to test it. Vectors depend on the text only and have unit length; a text
counts one token per word plus two. Prompts, types of inputs and tasks are put before the text as words. A label fits
by the words that it shares with a text, and is found wherever it stands in one. Texts that steer it:
`__sleep <seconds>__` answers late, `__crash__` drops the connection, `__error <code>__` answers with that ErrorReply.

    python -m benchmarks.fake_engine --port 9100 --dimensions 384
"""

import argparse
import asyncio
import math
import random
import re
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import cast

import httptools
import msgspec
import uvloop

from engine.protocol import (
    MEDIA_TYPE,
    PROTOCOL_VERSION,
    ClassifyReply,
    ClassifyRequest,
    EmbedReply,
    EmbedRequest,
    Entity,
    ErrorReply,
    ExtractReply,
    ExtractRequest,
    LabelScore,
    NodeStatus,
    RerankReply,
    RerankRequest,
    SparseVector,
    Timings,
    Token,
    TokenizeReply,
    TokenizeRequest,
)

DEFAULT_LIMIT = 512
OWN_LABELS = ("good", "bad")
MULTI_DIMENSIONS = 4
"""Of the vectors of tokens."""
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
        self._classify = msgspec.msgpack.Decoder(ClassifyRequest)
        self._extract = msgspec.msgpack.Decoder(ExtractRequest)
        self._tokenize = msgspec.msgpack.Decoder(TokenizeRequest)
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
        if path == b"/classify":
            classify = self._classify.decode(body)
            return self._steered([_joined(item) for item in classify.inputs], self._classified(classify))
        if path == b"/extract":
            extract = self._extract.decode(body)
            return self._steered(extract.inputs, self._extracted(extract))
        if path == b"/tokenize":
            tokenize = self._tokenize.decode(body)
            tokens = [_tokens(text, special=tokenize.special_tokens) for text in tokenize.inputs]
            return self._steered(tokenize.inputs, TokenizeReply(tokens, Timings()))
        if path in {b"/load", b"/unload", b"/pin", b"/unpin"}:
            return 200, self._encode(self.status()), 0.0
        return 404, self._encode(ErrorReply("not_found", "No such call.")), 0.0

    def status(self) -> NodeStatus:
        """Healthy, empty and free."""
        return NodeStatus(PROTOCOL_VERSION, "fake", "cpu", self.ready, 2**30, 0, 0, 0, 0.0, [])

    def _steered(self, texts: list[str], reply: msgspec.Struct) -> tuple[int, bytes, float]:
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
        said = (request.input_type, request.prompt_name, request.task)
        before = "".join(f"{word}: " for word in said if word is not None)
        texts = [before + text for text in request.inputs] if before else request.inputs
        return EmbedReply(
            width,
            b"".join([_numbers(vector(text, width), request.output_dtype) for text in texts])
            if "dense" in request.outputs
            else b"",
            [min(count, limit) for count in counts],
            truncated,
            Timings(),
            sparse=[_sparse(text) for text in texts] if "sparse" in request.outputs else None,
            multi=[_multi(text) for text in texts] if "multi" in request.outputs else None,
            multi_dimensions=MULTI_DIMENSIONS if "multi" in request.outputs else None,
            scale=1 / 127 if request.output_dtype in {"int8", "uint8"} else None,
            offset=128 if request.output_dtype == "uint8" else 0,
        )

    def _reranked(self, request: RerankRequest) -> RerankReply:
        query = set(request.query.lower().split())
        scores = [_overlap(query, document) for document in request.documents]
        tokens = _count(request.query) + sum(map(_count, request.documents))
        return RerankReply(scores, tokens, [], Timings())

    def _classified(self, request: ClassifyRequest) -> ClassifyReply:
        labels = request.labels if request.labels is not None else OWN_LABELS
        texts = [_joined(item) for item in request.inputs]
        found = []
        for text in texts:
            words = set(text.lower().split())
            scores = sorted((LabelScore(label, _overlap(words, label)) for label in labels), key=lambda fit: -fit.score)
            found.append([fit for fit in scores if fit.score >= (request.threshold or 0)][: request.top_k])
        return ClassifyReply(found, list(map(_count, texts)), [], Timings())

    def _extracted(self, request: ExtractRequest) -> ExtractReply:
        labels = request.labels if request.labels is not None else OWN_LABELS
        found = [[entity for label in labels for entity in _standing(label, text)] for text in request.inputs]
        counts = list(map(_count, request.inputs))
        return ExtractReply([sorted(one, key=lambda entity: entity.start) for one in found], counts, [], Timings())


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


def _numbers(floats: bytes, kind: str) -> bytes:
    values = memoryview(floats).cast("f").tolist()
    if kind in {"int8", "uint8"}:
        offset = 128 if kind == "uint8" else 0
        return bytes((round(value * 127) + offset) & 255 for value in values)
    if kind in {"binary", "ubinary"}:
        bits = int("".join("1" if value > 0 else "0" for value in values).ljust(-(-len(values) // 8) * 8, "0"), 2)
        whole = bits.to_bytes(-(-len(values) // 8))
        return bytes(byte ^ 128 for byte in whole) if kind == "binary" else whole
    return floats


def _sparse(text: str) -> SparseVector:
    places = sorted({len(word) for word in text.split()})
    return SparseVector(struct.pack(f"<{len(places)}i", *places), struct.pack(f"<{len(places)}f", *places))


def _multi(text: str) -> bytes:
    return b"".join(vector(word, MULTI_DIMENSIONS) for word in text.split() or [""])


def _joined(item: str | Sequence[str]) -> str:
    return item if isinstance(item, str) else " ".join(item)


def _standing(label: str, text: str) -> list[Entity]:
    spans = (match.span() for match in re.finditer(re.escape(label), text)) if label else ()
    return [Entity(start, end, text[start:end], label, 0.9) for start, end in spans]


def _tokens(text: str, *, special: bool) -> list[Token]:
    words = [Token(len(word[0]), word[0], False, word.start(), word.end()) for word in re.finditer(r"\S+", text)]
    return [Token(1, "[CLS]", True), *words, Token(2, "[SEP]", True)] if special else words


def _count(text: str) -> int:
    return len(text.split()) + 2


def _overlap(query: set[str], document: str) -> float:
    words = set(document.lower().split())
    return len(query & words) / max(1, len(query | words))


if __name__ == "__main__":
    main()
