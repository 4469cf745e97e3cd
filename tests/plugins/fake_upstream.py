"""A small OpenAI-compatible server, and text-embeddings-inference beside it, that also misbehaves on request.

What it does follows from the model that it is asked for: `chat` answers, `dies` breaks off, and so on. It runs in a
thread of its own; `held` streams a token only when `release` is called, so that tests know what came before what.
"""

import asyncio
import base64
import json
import struct
import threading
from dataclasses import dataclass, field

from benchmarks import fake_engine

KEY = "sk-upstream-1f0c8a6be7d94253b1c2"
WORDS = ["Herring ", "swim ", "in ", "shoals", "."]
JSON = "application/json"


def vector(text, width=8):
    """Of length 1 and different for different texts."""
    numbers = [((hash_of(text) >> (5 * i)) & 31) + 1.0 for i in range(width)]
    length = sum(x * x for x in numbers) ** 0.5
    return [struct.unpack("<f", struct.pack("<f", x / length))[0] for x in numbers]


def hash_of(text):
    value = 1469598103934665603
    for byte in text.encode("utf-8", "surrogatepass"):
        value = (value ^ byte) * 1099511628211 % 2**64
    return value


def tokens(text):
    return len(text.split()) + 2


@dataclass
class Asked:
    method: str
    path: str
    headers: dict
    body: dict


@dataclass
class FakeUpstream:
    """`url` is its base; `asked` what it was asked, in order."""

    key: str | None = KEY
    url: str = ""
    asked: list = field(default_factory=list)
    gone: threading.Event = field(default_factory=threading.Event)
    """Set when a client left amid a stream."""
    models: tuple = ("chat", "mini", "rank")
    most: int = 4
    """Inputs that text-embeddings-inference takes at once."""

    def start(self):
        self.loop = asyncio.new_event_loop()
        started = threading.Event()

        def run():
            asyncio.set_event_loop(self.loop)
            self.tokens = asyncio.Queue()
            self.never = asyncio.Event()  # kept here: a task whose event only it knows is garbage
            self.serving = set()
            self.server = self.loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
            started.set()
            self.loop.run_forever()
            self.server.close()
            self.loop.run_until_complete(asyncio.sleep(0.01))  # what was accepted becomes a task
            while tasks := asyncio.all_tasks(self.loop):  # one that accepts a connection begins another
                for task in tasks:
                    task.cancel()
                self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self.loop.close()

        self.thread = threading.Thread(target=run, name="fake upstream")
        self.thread.start()
        assert started.wait(10)
        return self

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)

    def release(self):
        """Let a held stream send its next token."""
        self.loop.call_soon_threadsafe(self.tokens.put_nowait, None)

    def last(self, path):
        return next(asked for asked in reversed(self.asked) if asked.path == path)

    async def _serve(self, reader, writer):
        self.serving.add(task := asyncio.current_task())
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, path, _ = head[0].split(" ")
                headers = dict(line.split(": ", 1) for line in head[1:] if line)
                headers = {name.lower(): value for name, value in headers.items()}
                content = await reader.readexactly(int(headers.get("content-length", 0)))
                asked = Asked(method, path, headers, json.loads(content) if content else {})
                self.asked.append(asked)
                if self.key is not None and headers.get("authorization") != f"Bearer {self.key}":
                    await say(
                        writer, {"error": {"message": f"Incorrect key {self.key}", "code": "invalid_api_key"}}, 401
                    )
                    continue
                await self._answer(asked, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.serving.discard(task)
            writer.close()

    async def _answer(self, asked, writer):
        model = asked.body.get("model", "")
        if (wrong := WRONG.get(model)) is not None:
            status, reply, headers = wrong
            await say(writer, reply, status, headers)
        elif model == "silent":
            await self.never.wait()
        elif model == "huge":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 999999999999\r\n\r\n")
            while True:
                writer.write(b" " * 2**20)
                await writer.drain()
        elif model == "dead":
            abort(writer)
        else:
            await self._well(asked, writer)

    async def _well(self, asked, writer):
        body = asked.body
        match asked.path:
            case "/v1/models":
                data = [{"id": name, "object": "model", "max_model_len": 4096} for name in self.models]
                await say(writer, {"object": "list", "data": data})
            case "/v1/embeddings" if str(body["input"][0]).startswith("__error "):
                status = {"queue_full": 429, "model_loading": 503}.get(body["input"][0].split()[1].strip("_"), 500)
                await say(writer, {"error": {"message": "No."}}, status)
            case "/v1/embeddings":
                await say(writer, embeddings(body))
            case "/v1/rerank":
                await say(writer, ranking(body))
            case "/v1/chat/completions" | "/v1/completions":
                await (self._stream if body.get("stream") else self._whole)(asked, writer)
            case "/info":
                info = {
                    "model_id": "tei",
                    "max_client_batch_size": self.most,
                    "max_input_length": 512,
                    "version": "1.8",
                }
                await say(writer, info)
            case "/embed":
                await self._tei(writer, body["inputs"], [vector(text) for text in body["inputs"]])
            case "/rerank":
                scores = [{"index": i, "score": score(body["query"], t)} for i, t in enumerate(body["texts"])]
                await self._tei(writer, body["texts"], sorted(scores, key=lambda rank: -rank["score"]))
            case _:
                await say(writer, {"error": {"message": "Not Found"}}, 404)

    async def _tei(self, writer, texts, reply):
        if len(texts) > self.most:
            await say(writer, {"error": f"batch size {len(texts)} > maximum", "error_type": "Validation"}, 413)
            return
        await say(writer, reply, headers={"x-compute-tokens": str(sum(map(tokens, texts)))})

    async def _whole(self, asked, writer):
        body, chat = asked.body, asked.path.endswith("chat/completions")
        text = "".join(WORDS)
        answer = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        reply = {
            "id": "chatcmpl-1", "object": "chat.completion" if chat else "text_completion", "created": 1,
            "model": body["model"] + "-2026-11-21", "choices": [{"index": 0, **answer, "finish_reason": "stop"}],
            "usage": usage(), "system_fingerprint": "fp_1",
        }  # fmt: skip
        if body["model"] == "uncounted":
            del reply["usage"]
        if body["model"] == "zeros":
            reply["usage"] = dict.fromkeys(usage(), 0)
        await say(writer, reply)

    async def _stream(self, asked, writer):
        body, chat = asked.body, asked.path.endswith("chat/completions")
        model = body["model"]

        def chunk(**choice):
            choices = [{"index": NUMBERS.get(model, 0), "finish_reason": None, **choice}] if choice else []
            told = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": choices}
            if body.get("stream_options", {}).get("include_usage") and model != "uncounted":
                told["usage"] = dict.fromkeys(usage(), 0) if model == "zeros" else None if choice else usage()
            return b"data: " + json.dumps(told).encode() + b"\n\n"

        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        if model == "stillborn":
            abort(writer)
        try:
            for number, word in enumerate(WORDS):
                if model == "held":
                    await self.tokens.get()
                if number == 2 and await misbehaved(model, writer, self.never):
                    return
                writer.write(piece(chunk(delta={"content": word}) if chat else chunk(text=word)))
                await writer.drain()
            while model == "forever":
                writer.write(piece(chunk(delta={"content": "x" * 1000})))
                await writer.drain()
                await asyncio.sleep(0)
            writer.write(piece(chunk(delta={}, finish_reason="stop") if chat else chunk(text="", finish_reason="stop")))
            if body.get("stream_options", {}).get("include_usage") and model != "uncounted":
                writer.write(piece(chunk()))
            writer.write(piece(b"data: [DONE]\n\n") + b"0\r\n\r\n")
            await writer.drain()
        except ConnectionError:
            self.gone.set()
            raise


NUMBERS = {"unnumbered": None}
NOT_A_NUMBER = base64.b64encode(struct.pack("<2f", 1, float("nan"))).decode()
WRONG = {
    "refused": (401, {"error": {"message": f"Incorrect API key provided: {KEY}", "code": "invalid_api_key"}}, {}),
    "poor": (429, {"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}, {}),
    "busy": (429, {"error": {"message": "Slow down, 10.0.0.7"}}, {"retry-after": "7"}),
    "unknown": (404, {"error": {"message": "The model `unknown` does not exist", "code": "model_not_found"}}, {}),
    "picky": (400, {"error": {"message": f"max is 8 at http://10.0.0.7:8000/v1 for {KEY}", "param": "messages"}}, {}),
    "failing": (500, {"error": {"message": "Traceback: /srv/vllm/secret.py"}}, {}),
    "moved": (302, {}, {"location": "http://169.254.169.254/latest/meta-data/"}),
    "few": (200, {"data": [{"index": 0, "embedding": [1.0, 0.0]}], "results": [], "usage": {"total_tokens": 1}}, {}),
    "twice": (
        200,
        {"data": [{"index": 0, "embedding": [1.0]}] * 2, "results": [{"index": 0, "relevance_score": 1}] * 2},
        {},
    ),
    "uneven": (200, {"data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0, 2.0]}]}, {}),
    "hollow": (200, {"data": [{"index": 0, "embedding": []}, {"index": 1, "embedding": []}]}, {}),
    "notnumber": (200, {"data": [{"index": i, "embedding": NOT_A_NUMBER} for i in (0, 1)]}, {}),
    "notbase64": (200, {"data": [{"index": i, "embedding": "!!"} for i in (0, 1)]}, {}),
    "overpriced": (
        200,
        {"data": [{"index": i, "embedding": [1.0]} for i in (0, 1)], "usage": {"prompt_tokens": 10**15}},
        {},
    ),
    "endless-wait": (429, {"error": {"message": "Slow down"}}, {"retry-after": "nan"}),
    "packed": (200, {"data": []}, {"content-encoding": "gzip"}),
    "forbidden": (403, {"error": {"message": "Blocked by the firewall at 10.0.0.7"}}, {}),
    "sorry": (200, {"error": {"message": "No provider at 10.0.0.7", "code": 502}}, {}),
    "nojson": (200, "<html>hello</html>", {}),
}  # fmt: skip


def usage():
    return {"prompt_tokens": 11, "completion_tokens": len(WORDS), "total_tokens": 11 + len(WORDS)}


def score(query, text):
    return (hash_of(query + text) % 1000) / 1000


def embeddings(body):
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    data = []
    for index, text in enumerate(texts):
        numbers = vector(text, body.get("dimensions") or 8)
        if body["model"].startswith("as-the-engine"):
            width = len(numbers)
            numbers = struct.unpack(f"<{width}f", fake_engine.vector(text, width))
        as_base64 = body.get("encoding_format") == "base64" and body["model"] != "floats"
        told = base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode() if as_base64 else numbers
        data.append({"object": "embedding", "index": index, "embedding": told})
    data.reverse()
    reply = {"object": "list", "data": data, "model": body["model"]}
    total = sum(map(tokens, texts))
    return reply if body["model"] == "uncounted" else reply | {"usage": {"prompt_tokens": total, "total_tokens": total}}


def ranking(body):
    ranks = [{"index": i, "relevance_score": score(body["query"], t)} for i, t in enumerate(body["documents"])]
    total = sum(tokens(body["query"] + text) for text in body["documents"])
    return {"results": sorted(ranks, key=lambda rank: -rank["relevance_score"]), "usage": {"total_tokens": total}}


def abort(writer):
    writer.transport.abort()
    raise ConnectionError


async def misbehaved(model, writer, never):
    """What happens amid a stream; whether it has ended by that."""
    match model:
        case "dies":
            abort(writer)
        case "breaks":
            await asyncio.sleep(0.05)  # with the first word in one piece it would be no beginning
            writer.write(piece(b'data: {"error": {"message": "CUDA error at 10.1.2.3", "code": 500}}\n\n'))
        case "endless":
            writer.write(piece(b"data: " + b"x" * 5_000_000))
        case "stands":
            await never.wait()
        case "stops":
            pass
        case _:
            return False
    writer.write(b"0\r\n\r\n")
    await writer.drain()
    return True


def piece(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


async def say(writer, reply, status=200, headers=None):
    content = reply.encode() if isinstance(reply, str) else json.dumps(reply).encode()
    lines = [f"HTTP/1.1 {status} X", f"content-type: {JSON}", f"content-length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + content)
    await writer.drain()
