"""Loads an HTTP server with requests that are built beforehand, over connections that stay open.

It shares the machine with what it measures, so it must cost little: a reply is handled inside the protocol's callback
and sends the next request from there, with no task, future or client library in between.
"""

import asyncio
import itertools
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from shoal.failures import StartFailure
from shoal.load.connection import Connection, connect
from shoal.load.measurement import Measurement, latency

DRAIN_PATIENCE = 30.0
"""Seconds that requests in flight have to be answered after the window."""
RECONNECT_PAUSE = 0.1
TICK = 0.001
"""What an event loop's timers resolve; a paced load sends what came due meanwhile together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What to send, how hard, for how long."""

    url: str
    """Scheme, host and port; the path is in the requests."""
    requests: Sequence[bytes]
    """Whole HTTP/1.1 requests, sent in turn, round and round."""
    count_tokens: Callable[[bytes], int]
    """Tokens that a reply's body reports. Raises msgspec.DecodeError at a body that is not what was asked for."""
    connections: int
    duration: float = 10.0
    """Seconds measured."""
    warmup: float = 2.0
    """Seconds before them."""
    rate: float | None = None
    """Requests per second, sent at even distances whether or not the server keeps up; None: each connection sends its
    next request when the last is answered."""


OnProgress = Callable[[float], None]
"""Told the seconds that have passed since it was last told."""


async def measure(load: Load, on_progress: OnProgress | None = None) -> Measurement:
    """Run the load. One request goes ahead uncounted: it loads the model and proves address, key and request.

    Raises StartFailure where that first one fails.
    """
    await _prove(load)
    return await _Run(load).measure(on_progress)


async def _prove(load: Load) -> None:
    replied: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
    connection = Connection(lambda _, status, body: replied.set_result((status, body)))
    try:
        await connect(load.url, connection)
    except OSError as error:
        raise StartFailure(f"Nothing answers at {load.url}: {error.strerror or error}.") from None
    connection.send(load.requests[0], time.perf_counter())
    either: set[asyncio.Future[Any]] = {replied, connection.lost}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    connection.close()
    if not replied.done():
        raise StartFailure(f"{load.url} closed the connection without an answer.")
    status, body = replied.result()
    if status != 200:
        raise StartFailure(f"{load.url} refused the first request: {_error(status, body)}")
    try:
        load.count_tokens(body)
    except msgspec.DecodeError as error:
        raise StartFailure(f"{load.url} gave an answer that is not embeddings: {error}.") from None


def _error(status: int, body: bytes) -> str:
    return f"{status} {body[:300].decode(errors='replace')}"


class _Run:
    """One measurement under way."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._loop = asyncio.get_running_loop()
        self._requests = itertools.cycle(load.requests)
        self._sending = True
        self._counting = False
        self._in_flight = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._opened = 0
        self._idle: deque[Connection] = deque()
        self._due: deque[float] = deque()
        self._latencies: list[float] = []
        self._tokens = 0
        self._bytes = 0
        self._errors: Counter[str] = Counter()
        self._first_error: str | None = None

    async def measure(self, on_progress: OnProgress | None) -> Measurement:
        load = self._load
        tasks = [self._loop.create_task(self._keep_connected()) for _ in range(load.connections)]
        if load.rate is not None:
            tasks.append(self._loop.create_task(self._pace(load.rate)))
        try:
            await _sleep(load.warmup, on_progress)
            self._counting, began, cpu = True, time.perf_counter(), time.process_time()
            await _sleep(load.duration, on_progress)
            self._counting, self._sending = False, False
            seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
            await self._drain()
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome
        return Measurement(
            connections=load.connections,
            seconds=seconds,
            requests=len(self._latencies),
            tokens=self._tokens,
            bytes_received=self._bytes,
            requests_per_second=len(self._latencies) / seconds,
            tokens_per_second=self._tokens / seconds,
            latency_ms=latency(self._latencies),
            errors=dict(self._errors),
            first_error=self._first_error,
            connections_opened=self._opened,
            cpu_share=cpu / seconds,
        )

    async def _keep_connected(self) -> None:
        while self._sending:
            connection = Connection(self._on_reply)
            try:
                await connect(self._load.url, connection)
            except OSError as error:
                self._fail("no connection", str(error))
                await asyncio.sleep(RECONNECT_PAUSE)
                continue
            self._opened += 1
            self._next(connection)
            try:
                await connection.lost
            finally:
                connection.close()
            if connection.awaiting_reply:
                self._settle()
                self._fail("connection lost", "The server closed the connection without an answer.")

    async def _pace(self, rate: float) -> None:
        began, sent = self._loop.time(), 0
        while self._sending:
            await asyncio.sleep(max(TICK, began + (sent + 1) / rate - self._loop.time()))
            while began + (sent + 1) / rate <= self._loop.time():
                sent += 1
                self._due.append(time.perf_counter())
                while self._idle and self._due:
                    connection = self._idle.popleft()
                    if connection.usable:
                        self._next(connection)

    def _next(self, connection: Connection) -> None:
        if not self._sending:
            return
        if self._load.rate is None:
            started = time.perf_counter()
        elif self._due:
            started = self._due.popleft()
        else:
            self._idle.append(connection)
            return
        self._in_flight += 1
        self._quiet.clear()
        connection.send(next(self._requests), started)

    def _on_reply(self, connection: Connection, status: int, body: bytes) -> None:
        self._settle()
        if self._counting and status == 200:
            self._count(time.perf_counter() - connection.started, body)
        elif self._counting:
            self._fail(str(status), _error(status, body))
        if connection.usable:
            self._next(connection)

    def _count(self, seconds: float, body: bytes) -> None:
        try:
            self._tokens += self._load.count_tokens(body)
        except msgspec.DecodeError as error:
            self._fail("unreadable reply", str(error))
            return
        self._latencies.append(seconds)
        self._bytes += len(body)

    def _fail(self, kind: str, detail: str) -> None:
        if not self._counting:
            return
        self._errors[kind] += 1
        if self._first_error is None:
            self._first_error = detail

    def _settle(self) -> None:
        self._in_flight -= 1
        if not self._in_flight:
            self._quiet.set()

    async def _drain(self) -> None:
        try:
            async with asyncio.timeout(DRAIN_PATIENCE):
                await self._quiet.wait()
        except TimeoutError:
            self._errors["unanswered"] = self._in_flight


async def _sleep(seconds: float, on_progress: OnProgress | None) -> None:
    end = last = time.perf_counter()
    end += seconds
    while (left := end - time.perf_counter()) > 0:
        await asyncio.sleep(min(left, 0.5))
        now = time.perf_counter()
        if on_progress is not None:
            on_progress(now - last)
        last = now
