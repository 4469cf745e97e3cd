"""What waits for the device: requests, and the sequences that they are made of."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from engine.encoded import Encoded
from engine.errors import EngineError
from engine.tracing import Span, current

Row = Any
"""What a model says of one sequence."""


class Model(Protocol):
    """What runs on the device."""

    def pack(self, encoded: Sequence[Encoded]) -> Any:
        """Prepare a batch; may run beside the batch before it."""
        ...

    def run(self, batch: Any) -> Sequence[Row]:
        """One row per sequence, in the order given to `pack`."""
        ...


@dataclass(eq=False, slots=True)
class Job:
    """One request's sequences, on their way through the device."""

    encoded: Sequence[Encoded]
    done: "asyncio.Future[None]"
    arrived: float
    deadline: float = float("inf")
    started: float | None = None
    rows: list[Row] = field(default_factory=list)
    left: int = 0
    batches: set["asyncio.Future[None]"] = field(default_factory=set)
    """Cut, with items of this job, and not over."""
    span: Span | None = None
    """The request's, where it is recorded."""
    queueing: Span | None = None
    """The part of it in which the job waits."""

    def __post_init__(self) -> None:
        self.span = current()
        self.queueing = None if self.span is None else self.span.part("queue")
        self.left = len(self.encoded)
        self.rows = [None] * self.left

    def begin(self, now: float) -> None:
        """Some of it runs from now on."""
        if self.started is None:
            self.started = now
            self.leave_queue()

    def leave_queue(self, error: BaseException | None = None) -> None:
        """It waits no more."""
        if self.queueing is not None:
            self.queueing.__exit__(type(error), error, None)
            self.queueing = None

    def fail(self, error: EngineError) -> None:
        """Answer with an error, unless there is an answer or nobody who waits for one."""
        if not self.done.done():
            self.done.set_exception(error)


class Item(NamedTuple):
    """One sequence of a job."""

    job: Job
    place: int
    """In its job."""
    tokens: int

    @property
    def encoded(self) -> Encoded:
        """The sequence itself."""
        return self.job.encoded[self.place]

    def is_gone(self, now: float) -> bool:
        """Nobody waits for it any more."""
        return self.job.done.done() or self.job.deadline <= now

    def deliver(self, outcome: Row | EngineError) -> None:
        """Answer the job's caller where this was the last item."""
        job = self.job
        if isinstance(outcome, EngineError):
            job.fail(outcome)
        elif not job.done.done():
            job.rows[self.place] = outcome
            job.left -= 1
            if job.left == 0:
                job.done.set_result(None)
