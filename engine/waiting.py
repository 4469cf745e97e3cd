"""What waits for the device: requests, and the sequences that they are made of."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.batch import TokenIds
from engine.errors import EngineError
from engine.heads.vectors import Vectors

Row = NDArray[np.float32]
"""One vector: (H,)."""
Rows = Vectors | Sequence[Row]
"""A row per sequence: (B, H) or a list of (H,)."""
NO_ROW: Row = np.empty(0, dtype=np.float32)


class Model(Protocol):
    """What runs on the device."""

    def pack(self, token_ids: Sequence[TokenIds]) -> Any:
        """Prepare a batch; may run beside the batch before it."""
        ...

    def run(self, batch: Any) -> Rows:
        """One row per sequence, in the order given to `pack`."""
        ...


@dataclass(eq=False, slots=True)
class Job:
    """One request's sequences, on their way through the device."""

    token_ids: Sequence[TokenIds]
    done: "asyncio.Future[None]"
    arrived: float
    deadline: float = float("inf")
    started: float | None = None
    rows: list[Row] = field(default_factory=list)
    left: int = 0
    batches: set["asyncio.Future[None]"] = field(default_factory=set)
    """Cut, with items of this job, and not over."""

    def __post_init__(self) -> None:
        self.left = len(self.token_ids)
        self.rows = [NO_ROW] * self.left

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
    def token_ids(self) -> TokenIds:
        """(L,)."""
        return self.job.token_ids[self.place]

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
