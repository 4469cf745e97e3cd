"""What to do when a forward pass runs out of memory, in four steps: caches, a sibling, halves, and only then an error.

1. Empty the allocator's caches.  2. Evict an idle model.  3. Halve the batch.  4. Fail the one item that is left.

A step that freed something is followed by another try; each half goes on by itself, and an item that is alone may have
every idle model evicted for it before it fails. So only an item that does not fit beside the models in use fails.
"""

from collections.abc import Awaitable, Callable, Sequence
from enum import IntEnum
from typing import Any

import torch

from engine.encoded import Encoded
from engine.errors import EngineError, OutOfMemory
from engine.scheduling.device_work import DeviceWork
from engine.scheduling.waiting import Model, Row

FreeMemory = Callable[[Model, int], Awaitable[bool]]
"""Take step 1 or 2 for a model; whether something was freed."""


class Step(IntEnum):
    """The last thing that was done about a batch."""

    RUN = 0
    EMPTY_CACHES = 1
    EVICT_SIBLING = 2
    HALVE = 3
    FAIL = 4


def next_step(last: Step, *, alone: bool, freed: bool) -> Step:
    """What follows `last` where the batch still does not fit. `alone`: it is one item; `freed`: `last` freed some."""
    match last:
        case Step.RUN:
            return Step.EMPTY_CACHES
        case Step.EMPTY_CACHES:
            return Step.EVICT_SIBLING
        case Step.EVICT_SIBLING if alone and freed:
            return Step.EVICT_SIBLING
        case Step.HALVE if alone:
            return Step.EMPTY_CACHES
    return Step.FAIL if alone else Step.HALVE


async def free_nothing(_model: Model, _step: int) -> bool:
    """For a device whose memory is nobody's to free."""
    return False


async def run_fitting(
    work: DeviceWork,
    model: Model,
    encoded: Sequence[Encoded],
    packed: Any,
    free_memory: FreeMemory = free_nothing,
    last: Step = Step.RUN,
    on_step: Callable[[Step], None] = lambda _: None,
) -> Sequence[Row | EngineError]:
    """Run a batch; where the memory is too small for it, as much of it as fits. One outcome per sequence.

    `on_step` is told of every step that is taken.
    """
    alone = len(encoded) == 1
    freed = True
    while True:
        if freed:
            try:
                return list(await work.run(model, packed))
            except (torch.OutOfMemoryError, MemoryError):
                pass  # the traceback holds the pass's tensors: free nothing before it is gone
        last = next_step(last, alone=alone, freed=freed)
        on_step(last)
        if last is Step.FAIL:
            return [OutOfMemory(f"The device's memory does not hold a forward pass over {len(encoded[0])} tokens.")]
        if last is Step.HALVE:
            break
        freed = await free_memory(model, last)
    del packed
    middle = len(encoded) // 2
    outcomes: list[Row | EngineError] = []
    for half in (encoded[:middle], encoded[middle:]):
        outcomes += await run_fitting(work, model, half, await work.pack(model, half), free_memory, Step.HALVE, on_step)
    return outcomes
