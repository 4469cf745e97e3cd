"""What waits for the device, and the one rule by which a batch is taken from it."""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.batch import PackedBatch, TokenIds
from engine.heads.vectors import Vectors

Row = NDArray[np.float32]
"""One vector: (H,)."""
NO_ROW: Row = np.empty(0, dtype=np.float32)


class Model(Protocol):
    """What runs on the device."""

    def pack(self, token_ids: Sequence[TokenIds]) -> PackedBatch:
        """Prepare a batch; may run beside the batch before it."""
        ...

    def run(self, batch: PackedBatch) -> Vectors:
        """One row per sequence, in the order given to `pack`."""
        ...


@dataclass(eq=False, slots=True)
class Job:
    """One request's sequences, on their way through the device."""

    model: Model
    token_ids: Sequence[TokenIds]
    done: "asyncio.Future[None]"
    arrived: float
    started: float | None = None
    rows: list[Row] = field(default_factory=list)
    left: int = 0
    batches: set["asyncio.Task[None]"] = field(default_factory=set)
    """Under way with items of this job."""


class Item(NamedTuple):
    """One sequence of a job."""

    job: Job
    place: int
    """In its job."""
    tokens: int


class Taken(NamedTuple):
    """What `take_batch` chose."""

    batch: list[Item]
    passed: int
    """Items at the head of the queue that are now done with: the batch's, and those whose caller has left."""


@dataclass(eq=False, slots=True)
class Queue:
    """What waits for one model, oldest first."""

    model: Model
    items: deque[Item] = field(default_factory=deque)
    tokens: int = 0


def take_batch(waiting: Iterable[Item], max_tokens: int) -> Taken:
    """The next batch of a queue, oldest first, up to the budget; an item above the budget goes alone."""
    batch: list[Item] = []
    tokens = passed = 0
    for item in waiting:
        if not item.job.done.done():
            if batch and tokens + item.tokens > max_tokens:
                break
            batch.append(item)
            tokens += item.tokens
        passed += 1
    return Taken(batch, passed)
