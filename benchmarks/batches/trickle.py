"""A steady small load of interactive requests, and how long each of them took."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from statistics import quantiles

import httpx
import msgspec

from benchmarks.served import MODEL

PATIENCE = 30.0


class Latency(msgspec.Struct, frozen=True):
    """Of the requests of a while, in milliseconds."""

    requests: int
    p50: float
    p99: float
    longest: float


@dataclass(slots=True)
class Trickle:
    """One request every `interval` seconds, whether the one before is answered or not."""

    url: str
    key: str
    texts: Sequence[str]
    interval: float
    took: list[tuple[float, float]] = field(default_factory=list)
    """When each began, and its seconds."""
    unanswered: int = 0
    """Requests that met no gateway, or one that died."""
    refused: list[int] = field(default_factory=list)
    """Answers of another status than 200."""

    @contextlib.asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        """Ask for the length of the block."""
        headers = {"authorization": f"Bearer {self.key}"}
        async with httpx.AsyncClient(base_url=self.url, headers=headers, timeout=PATIENCE) as client:
            asking: set[asyncio.Task[None]] = set()
            flow = asyncio.create_task(self._flow(client, asking))
            try:
                yield
            finally:
                flow.cancel()
                await asyncio.gather(flow, *asking, return_exceptions=True)

    def between(self, start: float, end: float) -> Latency:
        """Of the requests that began in [start, end), by `time.monotonic`."""
        took = [1000 * seconds for began, seconds in self.took if start <= began < end]
        if len(took) < 2:
            return Latency(len(took), *[took[0] if took else 0.0] * 3)
        cuts = quantiles(took, n=100, method="inclusive")
        return Latency(len(took), cuts[49], cuts[98], max(took))

    async def _flow(self, client: httpx.AsyncClient, asking: set[asyncio.Task[None]]) -> None:
        due = time.monotonic()
        for number in range(10**9):
            task = asyncio.create_task(self._ask(client, self.texts[number % len(self.texts)]))
            asking.add(task)
            task.add_done_callback(asking.discard)
            due += self.interval
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _ask(self, client: httpx.AsyncClient, text: str) -> None:
        began = time.monotonic()
        try:
            reply = await client.post("/v1/embeddings", json={"model": MODEL, "input": text})
        except httpx.HTTPError:
            self.unanswered += 1
            return
        if reply.status_code == 200:
            self.took.append((began, time.monotonic() - began))
        else:
            self.refused.append(reply.status_code)
