"""What every task needs of a node: a model that stays while it is used, its tokenizer, and a turn on the device."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace

import numpy as np
import tokenizers

from engine.encoded import DENSE, Encoded, Row
from engine.errors import DeadlinePassed, Draining, InferenceFailed
from engine.metrics import EngineMetrics
from engine.protocol import ModelWork, Timings
from engine.residency import Residency
from engine.scheduler import Scheduler
from engine.tasks.asking import Claim, claim_of
from engine.tasks.using import Loaded, Used, Using
from engine.tokenizer import Cut, Finish, Text, Tokenized
from engine.tracing import part

RETRY_AFTER_DRAIN = 1.0


class Visit:
    """One request at one model, which stays in memory until the visit ends."""

    def __init__(self, running: "Running", used: Used, claim: Claim, limit: int, loading: float) -> None:
        self.model = used.model
        self.task = used.task
        """Of those that the model has adapters of its own for, the one that the request is about."""
        self.limit = limit
        """Tokens of the longest input, special ones included."""
        self._adapter = used.adapter
        self._running = running
        self._claim = claim
        self._loading = loading
        self._tokenizing = self._queued = self._inference = 0.0

    async def tokenize(
        self,
        texts: Sequence[Text],
        *,
        truncate: bool,
        outputs: tuple[str, ...] = DENSE,
        limit: int | None = None,
        cut: Cut = "longest_first",
        specials: bool = True,
        finish: Finish | None = None,
    ) -> Tokenized:
        """Texts as sequences that ask for `outputs`; refused where the queue is full already."""
        running = self._running
        running.scheduler.admit(len(texts), self._claim.lane)
        started = running.clock()
        with part("tokenize"):
            tokenized = await self.model.tokenizer.encode(
                texts,
                limit=self.limit if limit is None else limit,
                truncate=truncate,
                executor=running.tokenizing,
                outputs=outputs,
                cut=cut,
                specials=specials,
                finish=finish,
            )
        self._note_tokenized(running.clock() - started)
        return tokenized

    async def read(self, job: Callable[[tokenizers.Tokenizer], Tokenized], texts: int) -> Tokenized:
        """Texts as sequences, by a job that reads them in its own way; refused where the queue is full already."""
        running = self._running
        running.scheduler.admit(texts, self._claim.lane)
        started = running.clock()
        with part("tokenize"):
            tokenized = await self.model.tokenizer.read(job, running.tokenizing)
        if (fault := self.model.tokenizer.fault(tokenized.encoded)) is not None:
            raise fault
        self._note_tokenized(running.clock() - started)
        return tokenized

    def _note_tokenized(self, seconds: float) -> None:
        self._tokenizing += seconds
        self._running.metrics.tokenize_seconds.observe(seconds)

    async def run(self, encoded: Sequence[Encoded]) -> list[Row]:
        """What the model says of each sequence, once the scheduler has had it run. May be called again."""
        running, claim = self._running, self._claim
        if self._adapter is not None:
            encoded = [replace(sequence, adapter=self._adapter) for sequence in encoded]
        try:
            ran = await running.scheduler.run(
                self.model,
                encoded,
                flow=claim.flow,
                weight=claim.weight,
                lane=claim.lane,
                deadline=claim.deadline,
            )
        except DeadlinePassed:
            running.metrics.deadline_drops.labels(claim.lane).inc()
            raise
        running.metrics.wait_seconds.labels(claim.lane).observe(ran.queued)
        self._queued += ran.queued
        self._inference += ran.inference
        if not all(_is_finite(result) for row in ran.rows for result in row.values()):
            raise InferenceFailed("The model's numbers passed what its type can hold: try it with dtype float32.")
        return ran.rows

    @property
    def timings(self) -> Timings:
        """Where the request's time went so far."""
        return Timings(self._loading, self._tokenizing, self._queued, self._inference)


class Running:
    """A node at work: its models, its queue, and how many calls are in flight."""

    def __init__(
        self,
        *,
        residency: Residency[Loaded],
        scheduler: Scheduler,
        metrics: EngineMetrics,
        tokenizing: Executor,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.residency = residency
        self._using = Using(residency)
        self.scheduler = scheduler
        self.metrics = metrics
        self.tokenizing = tokenizing
        self.clock = clock
        self._draining = False
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def draining(self) -> bool:
        """Nothing new is taken."""
        return self._draining

    @asynccontextmanager
    async def visit(self, request: ModelWork) -> AsyncIterator[Visit]:
        """The request's model, loaded if need be, until the end of the block."""
        with self.taking():
            started = self.clock()
            claim = claim_of(request, started)
            async with AsyncExitStack() as held:
                with part("load"):
                    used = await held.enter_async_context(self._using.use(request, claim.patience))
                longest = used.model.spec.max_tokens
                limit = min(request.model.max_tokens or longest, longest)
                yield Visit(self, used, claim, limit, self.clock() - started)

    @contextmanager
    def taking(self) -> Iterator[None]:
        """Count a call in flight; refuse it while the node drains."""
        if self._draining:
            raise Draining("This node is stopping and takes nothing new.", retry_after=RETRY_AFTER_DRAIN)
        self._in_flight += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._in_flight -= 1
            if self._in_flight == 0:
                self._idle.set()

    def refuse(self) -> None:
        """Take nothing new from here on."""
        self._draining = True

    async def drain(self) -> None:
        """Take nothing new, and return when all that was taken is answered."""
        self.refuse()
        await self._idle.wait()


def _is_finite(result: object) -> bool:
    parts = result if isinstance(result, tuple) else (result,)
    return all(bool(np.isfinite(part).all()) for part in parts if isinstance(part, np.ndarray))
