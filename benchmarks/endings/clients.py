"""OpenAI's own SDK as people use it, and behind it a transport that writes down what became of every attempt."""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx2
import msgspec
from openai import AsyncOpenAI, OpenAIError

from benchmarks.crashes.clients import Tally
from benchmarks.endings.truth import Truth
from benchmarks.served import MODEL

THINKING = 0.1
"""Seconds between two requests of a client, on average."""
PATIENCE = 30.0
"""Seconds without a byte after which the SDK gives an attempt up; nothing of the fleet may take so long."""
TOLERANCE = 1e-4
MOST_TEXTS = 4


class Attempts(httpx2.AsyncBaseTransport):
    """Goes to one of `urls` as long as it takes connections, then to the next; nothing that was sent is sent again."""

    def __init__(self, name: str, urls: Sequence[str], truth: Truth, tally: Tally) -> None:
        self._name, self._truth, self._tally = name, truth, tally
        self._numbers = itertools.count()
        self._inner = httpx2.AsyncHTTPTransport()
        self._origins = itertools.cycle([httpx2.URL(url) for url in urls])
        self._origin = next(self._origins)
        self._choices = len(urls)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """One attempt: what it was answered, whole, or that it was cut off."""
        name = f"{self._name}-{next(self._numbers)}"
        request.headers["x-request-id"] = name
        tokens = self._truth.tokens(msgspec.json.decode(request.content)["input"])
        self._tally.cut[name] = tokens
        response = await self._send(request)
        content = await response.aread()
        if response.status_code == 200:
            del self._tally.cut[name]
            self._tally.answered[name] = msgspec.json.decode(content)["usage"]["total_tokens"]
        else:
            self._tally.refused[response.status_code] += 1
            if "x-request-id" in response.headers:  # a gateway's own word, not a balancer's
                del self._tally.cut[name]
        return httpx2.Response(response.status_code, headers=response.headers, content=content, request=request)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()

    async def _send(self, request: httpx2.Request) -> httpx2.Response:
        for _ in range(self._choices - 1):
            try:
                return await self._inner.handle_async_request(self._addressed(request))
            except httpx2.ConnectError:
                self._origin = next(self._origins)
        return await self._inner.handle_async_request(self._addressed(request))

    def _addressed(self, request: httpx2.Request) -> httpx2.Request:
        request.url = request.url.copy_with(host=self._origin.host, port=self._origin.port)
        return request


@dataclass(slots=True)
class Seen:
    """What the callers of the SDK saw."""

    requests: int = 0
    failures: list[str] = field(default_factory=list)
    """After the SDK's own tries."""
    wrong: list[str] = field(default_factory=list)
    """Answers that were not the right ones."""
    longest: float = 0.0
    """Seconds from a question to its answer, tries included."""
    kinds: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Client:
    """Asks one thing at a time."""

    name: str
    urls: Sequence[str]
    key: str
    truth: Truth
    tally: Tally
    seen: Seen
    retries: int

    async def run(self, ended: asyncio.Event) -> None:
        """Ask until the end."""
        chance = random.Random(self.name)
        transport = Attempts(self.name, self.urls, self.truth, self.tally)
        async with AsyncOpenAI(
            base_url=f"{self.urls[0]}/v1",
            api_key=self.key,
            max_retries=self.retries,
            timeout=PATIENCE,
            http_client=httpx2.AsyncClient(transport=transport),
        ) as sdk:
            while not ended.is_set():
                await self._ask(sdk, chance.choices(self.truth.texts, k=chance.randint(1, MOST_TEXTS)))
                await asyncio.sleep(chance.uniform(0, 2 * THINKING))

    async def _ask(self, sdk: AsyncOpenAI, texts: list[str]) -> None:
        began = asyncio.get_running_loop().time()
        self.seen.requests += 1
        try:
            reply = await sdk.embeddings.create(model=MODEL, input=texts)
        except OpenAIError as error:
            self.seen.failures.append(f"{self.name}: {type(error).__name__}: {error} ({error.__cause__!r})")
        else:
            vectors = [item.embedding for item in reply.data]
            if not self.truth.holds(texts, vectors, TOLERANCE) or reply.usage.total_tokens != self.truth.tokens(texts):
                self.seen.wrong.append(f"{self.name}: {texts}")
        self.seen.longest = max(self.seen.longest, asyncio.get_running_loop().time() - began)
