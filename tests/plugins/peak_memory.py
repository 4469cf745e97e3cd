"""The most memory that a batch takes of the CPU's allocator at once: by torch's own record, and by our arithmetic."""

import gc
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from engine.memory.calibration import Shape


def peak_of(work: Callable[[], object]) -> int:
    """Bytes. What other tests left behind is not given back meanwhile: the record would count it as taken off."""
    gc.collect()
    gc.disable()
    try:
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
            work()
    finally:
        gc.enable()
    moves = [event for event in record.profiler.kineto_results.events() if event.name() == "[memory]"]
    taken = np.cumsum([event.nbytes() for event in sorted(moves, key=lambda event: event.start_ns())])
    return int(taken.max())


def bound_of(
    config: Mapping[str, Any], family: str, dtype: torch.dtype, lengths: Sequence[int], *, longest: int
) -> int:
    """Bytes, at most, of a pass over sequences of these lengths, with as many threads as torch has now."""
    threads = torch.get_num_threads()
    shape = Shape.of(config, family, longest=longest, itemsize=dtype.itemsize, place="cpu", threads=threads)
    return shape.peak(sum(lengths))
