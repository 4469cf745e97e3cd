"""Who is next on the device, and with whom: batches cut by true token count when the device is free; no timer.

- Each worker runs one batch. What waits is shared among the workers that are free. When all are busy one more batch is
  cut and packed, but only of a full budget; otherwise the next one stays open and fills until a worker is free.
- Who is next: the lane by its share (scheduling/lanes.py), the model by its turn (turns.py there), then deficit round
  robin between flows, oldest first inside each (fairness.py). A big request spreads over batches.
- Callers that left, and those whose deadline has passed, are dropped when their items would be taken.
- A batch that fails fails only its own items; out of memory is met in four steps (out_of_memory.py).
"""

import asyncio
import copy
from collections.abc import Callable, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import structlog

from engine.encoded import Encoded
from engine.errors import DeadlinePassed, Draining, EngineError, InferenceFailed, QueueFull
from engine.protocol import Lane
from engine.scheduling.device_work import DeviceWork
from engine.scheduling.lanes import BULK_SHARE, LaneShare
from engine.scheduling.out_of_memory import FreeMemory, Step, free_nothing, run_fitting
from engine.scheduling.speed import BatchRecord, Speed
from engine.scheduling.turns import ModelTurns
from engine.scheduling.waiting import Item, Job, Model, Row
from engine.tracing import batch_of

LEAST_SHARE = 64
"""Tokens; a batch is not made smaller than this to occupy a free worker."""

TURN_BATCHES = 2
"""Full batches that a model may have before the turn passes to the next one."""


class Ran(NamedTuple):
    """A finished job."""

    rows: list[Row]
    """What the model says of each sequence, in their order."""
    queued: float
    """Seconds until its first batch started."""
    inference: float
    """Seconds from there until its last batch was done."""


@dataclass(eq=False, slots=True)
class _Batch:
    model: Model
    lane: Lane
    items: list[Item]
    tokens: int
    packing: "asyncio.Task[Any]"
    over: "asyncio.Future[None]"
    serving: "asyncio.Task[None] | None" = field(default=None)


class Scheduler:
    """The device's queue. Made and used on one event loop; the loop's time is its clock unless it is given another."""

    def __init__(
        self,
        *,
        work: DeviceWork,
        batch_tokens: int,
        workers: int = 1,
        max_waiting_tokens: int,
        bulk_share: float = BULK_SHARE,
        turn_tokens: int | None = None,
        clock: Callable[[], float] | None = None,
        on_batch: Callable[[BatchRecord], None] = lambda _: None,
        free_memory: FreeMemory = free_nothing,
        on_step: Callable[[Step], None] = lambda _: None,
    ) -> None:
        """`max_waiting_tokens` bounds each lane by itself; `turn_tokens` is a model's turn (TURN_BATCHES full ones)."""
        turn_tokens = TURN_BATCHES * batch_tokens if turn_tokens is None else turn_tokens
        self._work = work
        self._workers = workers
        self._max_waiting_tokens = max_waiting_tokens
        self._clock = clock or asyncio.get_running_loop().time
        self._on_batch = on_batch
        self._free_memory = free_memory
        self._on_step = on_step
        self._share = LaneShare(batch_tokens, bulk_share)
        self._lanes: dict[Lane, ModelTurns[Model, Item]] = {
            "interactive": ModelTurns(turn_tokens),
            "bulk": ModelTurns(turn_tokens),
        }
        self._jobs: set[Job] = set()
        self._running: set[_Batch] = set()
        self._ahead: _Batch | None = None
        self._speed = Speed(workers)
        self._is_start_due = False
        self._closed = False

    @property
    def waiting_requests(self) -> int:
        """Requests that are not finished."""
        return len(self._jobs)

    @property
    def waiting_tokens(self) -> int:
        """In both lanes."""
        return sum(lane.tokens for lane in self._lanes.values())

    @property
    def bulk_waiting_tokens(self) -> int:
        """Those of `waiting_tokens` in the bulk lane."""
        return self._lanes["bulk"].tokens

    @property
    def oldest_waiting(self) -> float:
        """Seconds for which the oldest request waits that has not begun; 0 where none waits."""
        arrived = [job.arrived for job in self._jobs if job.started is None]
        return max(0.0, self._clock() - min(arrived)) if arrived else 0.0

    @property
    def tokens_per_second(self) -> float:
        """Of all workers together, measured over the last batches; 0 before the first."""
        return self._speed.tokens_per_second

    def admit(self, tokens: int, lane: Lane = "interactive") -> None:
        """Refuse what would pass the lane's bound. Where nothing waits in a lane, nothing is refused, however big."""
        waiting = self._lanes[lane].tokens
        if waiting and waiting + tokens > self._max_waiting_tokens:
            part = self._share.part(lane, other_waits=self.waiting_tokens > waiting)
            raise QueueFull(
                f"{waiting} tokens wait on this node ({lane}), of at most {self._max_waiting_tokens}.",
                retry_after=self._speed.retry_after(waiting, part),
            )

    async def run(
        self,
        model: Model,
        encoded: Sequence[Encoded],
        *,
        flow: str = "",
        weight: float = 1.0,
        lane: Lane = "interactive",
        deadline: float | None = None,
    ) -> Ran:
        """Queue one request's sequences and wait for what the model says of all of them.

        Raises QueueFull; DeadlinePassed where the scheduler's clock has reached `deadline` when an item would be taken.
        """
        if self._closed:
            raise Draining("The node has stopped.")
        lengths = list(map(len, encoded))
        tokens = sum(lengths)
        self.admit(tokens, lane)
        job = Job(encoded, asyncio.get_running_loop().create_future(), arrived=self._clock())
        if deadline is not None:
            job.deadline = deadline
        items = [Item(job, place, length) for place, length in enumerate(lengths)]
        # Of one age, so their order is free: neighbours of one length make few and wide runs in a batch.
        items.sort(key=_length)
        self._lanes[lane].add(model, flow, weight, items, tokens)
        self._share.arrived(lane)
        self._jobs.add(job)
        if not self._is_start_due:
            # In the loop's next round: requests that come in one round, such as those tokenized together, go together.
            self._is_start_due = True
            asyncio.get_running_loop().call_soon(self._start)
        try:
            await self._over(job)
        except BaseException as error:
            job.leave_queue(error)
            # The error's traceback holds this frame, and the job the error: a cycle that keeps the model in memory.
            del job, items
            raise
        now = self._clock()
        started = job.started if job.started is not None else now
        return Ran(job.rows, queued=started - job.arrived, inference=now - started)

    async def _over(self, job: Job) -> None:
        try:
            await job.done
        finally:
            self._jobs.discard(job)
            if job.batches:
                # A caller that leaves frees its model only when the device has let go of it.
                await asyncio.wait(job.batches)
            del job

    async def close(self) -> None:
        """Finish the batches under way and refuse what still waits."""
        self._closed = True
        for job in self._jobs:
            job.fail(Draining("The node has stopped."))
        for lane in self._lanes.values():
            lane.clear()
        self._start()
        while self._running:
            await asyncio.wait([batch.over for batch in self._running])

    def _start(self) -> None:
        """Give every free worker a batch; where all are busy, prepare one that is full."""
        self._is_start_due = False
        while (free := self._workers - len(self._running)) > 0 and (batch := self._next(free)) is not None:
            other = self._waiting("bulk" if batch.lane == "interactive" else "interactive")
            self._share.took(batch.lane, batch.tokens, other_waits=other > 0)
            self._running.add(batch)
            # In no request's context: the task that calls this may serve any of them, or none.
            batch.serving = asyncio.create_task(self._serve(batch), context=Context())
        if self._ahead is None and not free:
            lane = self._lane_at_turn()
            if lane is not None and self._lanes[lane].next_tokens >= (budget := self._share.budget(lane)):
                self._ahead = self._cut(lane, budget)

    def _next(self, free: int) -> _Batch | None:
        """The batch whose turn it is, cut for one of the free workers unless it has been prepared."""
        while (lane := self._lane_at_turn()) is not None:
            if self._ahead is not None and self._ahead.lane == lane:
                ahead, self._ahead = self._ahead, None
                return ahead
            share = max(self._lanes[lane].tokens // free, LEAST_SHARE)
            if (batch := self._cut(lane, min(share, self._share.budget(lane)))) is not None:
                return batch
        return None

    def _lane_at_turn(self) -> Lane | None:
        return self._share.next(interactive=self._waiting("interactive"), bulk=self._waiting("bulk"))

    def _waiting(self, lane: Lane) -> int:
        """Tokens that no worker has, those of the prepared batch included."""
        ahead = self._ahead.tokens if self._ahead is not None and self._ahead.lane == lane else 0
        return self._lanes[lane].tokens + ahead

    def _cut(self, lane: Lane, max_tokens: int) -> _Batch | None:
        """Take a batch and begin to pack it; None where all that would be in it is gone."""
        now = self._clock()
        model, items, dropped = self._lanes[lane].take(max_tokens, lambda item: item.is_gone(now))
        for item in dropped:
            item.job.fail(DeadlinePassed("The request's deadline passed while it waited for the device."))
        if not items:
            return None
        batch = _Batch(
            model,
            lane,
            items,
            sum(item.tokens for item in items),
            asyncio.create_task(self._work.pack(model, [item.encoded for item in items])),
            asyncio.get_running_loop().create_future(),
        )
        for item in items:
            item.job.batches.add(batch.over)
        return batch

    async def _serve(self, batch: _Batch) -> None:
        outcomes: Sequence[Row | EngineError]
        try:
            outcomes = await self._run(batch)
        except EngineError as error:
            outcomes = [copy.copy(error) for _ in batch.items]
        except Exception:  # noqa: BLE001 - whatever it is, it is the outcome of these items and of no others
            structlog.get_logger().exception("batch_failed", sequences=len(batch.items))
            outcomes = [InferenceFailed("The forward pass failed; the node's log says why.") for _ in batch.items]
        self._running.discard(batch)
        self._start()  # the device first, the callers after
        for item, outcome in zip(batch.items, outcomes, strict=True):
            item.job.batches.discard(batch.over)
            item.deliver(outcome)
        batch.over.set_result(None)

    async def _run(self, batch: _Batch) -> Sequence[Row | EngineError]:
        packed = await batch.packing
        if all(item.job.done.done() for item in batch.items):
            return [Draining("The caller has left.")] * len(batch.items)  # nobody reads it
        started = self._clock()
        for item in batch.items:
            item.job.begin(started)
        encoded = [item.encoded for item in batch.items]
        facts = {"shoal.lane": batch.lane, "shoal.tokens": batch.tokens, "shoal.sequences": len(encoded)}
        with batch_of((item.job.span for item in batch.items), facts):
            outcomes = await run_fitting(
                self._work, batch.model, encoded, packed, self._free_memory, on_step=self._on_step
            )
        record = BatchRecord(len(batch.items), batch.tokens, self._clock() - started, batch.lane)
        self._speed.add(record)
        self._share.measured(self._speed.tokens_per_second / self._workers)
        self._on_batch(record)
        return outcomes


def _length(item: Item) -> int:
    return item.tokens
