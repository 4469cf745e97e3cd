"""Who is next on the device, and with whom: batches cut by true token count when the device is free; no timer.

- Each worker runs one batch. What waits is shared among the workers that are free. When all are busy one more batch is
  cut and packed, but only of a full budget; otherwise the next one stays open and fills until a worker is free.
- The oldest waiting item is served first, so models take turns; a big request spreads over batches.
- Callers that left are dropped when their items would be taken. A batch that fails fails only its own items.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import structlog
import torch

from engine.batch import PackedBatch, TokenIds
from engine.errors import Draining, EngineError, InferenceFailed, OutOfMemory, QueueFull
from engine.heads.vectors import Vectors
from engine.waiting import NO_ROW, Item, Job, Model, Queue, Row, take_batch

LEAST_SHARE = 64
"""Tokens; a batch is not made smaller than this to occupy a free worker."""

RATE_WINDOW = 32
"""Batches over which the speed is measured."""

RETRY_BOUNDS = (0.1, 60.0)
"""Seconds."""

Outcomes = Sequence[Row | EngineError]
"""Per item of a batch."""


class Ran(NamedTuple):
    """A finished job."""

    vectors: Vectors
    """(B, H), in the order of its sequences."""
    queued: float
    """Seconds until its first batch started."""
    inference: float
    """Seconds from there until its last batch was done."""


class BatchRecord(NamedTuple):
    """A batch that ran."""

    sequences: int
    tokens: int
    seconds: float


class Scheduler:
    """The device's queue. Lives on one event loop; runs models in threads of its own."""

    def __init__(
        self,
        *,
        batch_tokens: int,
        workers: int = 1,
        max_waiting_tokens: int,
        on_batch: Callable[[BatchRecord], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._batch_tokens = batch_tokens
        self._workers = workers
        self._max_waiting_tokens = max_waiting_tokens
        self._on_batch = on_batch
        self._clock = clock
        self._queues: dict[Model, Queue] = {}
        self._jobs: set[Job] = set()
        self._under_way: set[asyncio.Task[None]] = set()
        self._recent: deque[BatchRecord] = deque(maxlen=RATE_WINDOW)
        self._preparing = ThreadPoolExecutor(1, "prepare")
        self._device = ThreadPoolExecutor(workers, "device")
        self.waiting_tokens = 0

    @property
    def waiting_requests(self) -> int:
        """Requests that are not finished."""
        return len(self._jobs)

    @property
    def tokens_per_second(self) -> float:
        """Of all workers together, measured over the last batches; 0 before the first."""
        seconds = sum(batch.seconds for batch in self._recent) / self._workers
        return sum(batch.tokens for batch in self._recent) / seconds if seconds else 0.0

    def admit(self, tokens: int) -> None:
        """Refuse what would pass the bound. A request is never refused while nothing waits, however big."""
        if self.waiting_tokens and self.waiting_tokens + tokens > self._max_waiting_tokens:
            least, most = RETRY_BOUNDS
            seconds = self.waiting_tokens / self.tokens_per_second if self.tokens_per_second else least
            raise QueueFull(
                f"{self.waiting_tokens} tokens wait on this node, of at most {self._max_waiting_tokens}.",
                retry_after=min(max(seconds, least), most),
            )

    async def run(self, model: Model, token_ids: Sequence[TokenIds]) -> Ran:
        """Queue one request's sequences and wait for all of their vectors."""
        tokens = sum(map(len, token_ids))
        self.admit(tokens)
        job = Job(
            model, token_ids, asyncio.get_running_loop().create_future(), arrived=self._clock(), left=len(token_ids)
        )
        job.rows = [NO_ROW] * len(token_ids)
        # Of one age, so their order is free: neighbours of one length make few and wide runs in a batch.
        items = sorted(
            (Item(job, index, len(ids)) for index, ids in enumerate(token_ids)), key=lambda item: item.tokens
        )
        queue = self._queues.setdefault(model, Queue(model))
        queue.items.extend(items)
        queue.tokens += tokens
        self.waiting_tokens += tokens
        self._jobs.add(job)
        self._cut()
        try:
            await job.done
        finally:
            self._jobs.discard(job)
            if job.batches:
                # A caller that leaves frees its model only when the device has let go of it.
                await asyncio.wait(job.batches)
        now = self._clock()
        started = job.started if job.started is not None else now
        return Ran(np.stack(job.rows), queued=started - job.arrived, inference=now - started)

    async def close(self) -> None:
        """Finish the batches under way, refuse what still waits, end the threads."""
        for job in self._jobs:
            if not job.done.done():
                job.done.set_exception(Draining("The node has stopped."))
        self._queues.clear()
        while self._under_way:
            await asyncio.wait(self._under_way)
        self._preparing.shutdown()
        self._device.shutdown()

    def _cut(self) -> None:
        """Start batches while a worker is free, or while a full one can be prepared."""
        while self._queues and (free := self._workers - len(self._under_way)) >= 0:
            queue = min(self._queues.values(), key=lambda queue: queue.items[0].job.arrived)
            if not free and queue.tokens < self._batch_tokens:
                return
            share = max(queue.tokens // free, LEAST_SHARE) if free else self._batch_tokens
            if batch := self._take(queue, min(share, self._batch_tokens)):
                task = asyncio.create_task(self._serve(queue.model, batch))
                self._under_way.add(task)
                for item in batch:
                    item.job.batches.add(task)

    def _take(self, queue: Queue, max_tokens: int) -> list[Item]:
        batch, passed = take_batch(queue.items, max_tokens)
        tokens = sum(queue.items.popleft().tokens for _ in range(passed))
        queue.tokens -= tokens
        self.waiting_tokens -= tokens
        if not queue.items:
            del self._queues[queue.model]
        return batch

    async def _serve(self, model: Model, batch: list[Item]) -> None:
        loop = asyncio.get_running_loop()
        this = asyncio.current_task()
        outcomes: Sequence[Row | EngineError]
        try:
            packed = await loop.run_in_executor(self._preparing, model.pack, _token_ids(batch))
            outcomes, record = await loop.run_in_executor(self._device, self._run, model, packed, batch)
            self._recent.append(record)
            self._on_batch(record)
        except Exception:  # noqa: BLE001 - whatever it is, it is the outcome of these items and of no others
            structlog.get_logger().exception("batch_failed", sequences=len(batch))
            outcomes = [InferenceFailed("The forward pass failed; the node's log says why.") for _ in batch]
        for item, outcome in zip(batch, outcomes, strict=True):
            if this is not None:
                item.job.batches.discard(this)
            _deliver(item, outcome)
        if this is not None:
            self._under_way.discard(this)
        self._cut()

    def _run(self, model: Model, packed: PackedBatch, batch: list[Item]) -> tuple[Outcomes, BatchRecord]:
        """In the device's thread."""
        started = self._clock()
        for item in batch:
            if item.job.started is None:
                item.job.started = started
        outcomes = _run_halving(model, packed, batch)
        tokens = sum(item.tokens for item in batch)
        return outcomes, BatchRecord(len(batch), tokens, self._clock() - started)


def _run_halving(model: Model, packed: PackedBatch, batch: list[Item]) -> Outcomes:
    """Run a batch; where the memory is too small for it, its halves, down to the one item that can not be served."""
    try:
        return list(model.run(packed))
    except (torch.OutOfMemoryError, MemoryError):
        if len(batch) == 1:
            return [OutOfMemory(f"The device's memory does not hold a forward pass over {batch[0].tokens} tokens.")]
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    middle = len(batch) // 2
    halves = batch[:middle], batch[middle:]
    return [outcome for half in halves for outcome in _run_halving(model, model.pack(_token_ids(half)), half)]


def _token_ids(batch: list[Item]) -> list[TokenIds]:
    return [item.job.token_ids[item.place] for item in batch]


def _deliver(item: Item, outcome: Row | EngineError) -> None:
    job = item.job
    if job.done.done():
        return
    if isinstance(outcome, EngineError):
        job.done.set_exception(outcome)
        return
    job.rows[item.place] = outcome
    job.left -= 1
    if job.left == 0:
        job.done.set_result(None)
