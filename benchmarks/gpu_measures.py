"""What the GPU check measures, each as a function of a device and a model, so that most of it can be tried on a CPU."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.swap import Subject, swap_models
from engine.batch import pack
from engine.device import Device, give_back_memory
from engine.encoded import Encoded
from engine.heads.vectors import stacked
from engine.layers.attention import attend_runs, resolve_attention
from engine.loading.loaded import LoadedModel
from engine.loading.plan import plan_load
from engine.memory.buffers import HostBuffer, device_memory
from engine.memory.calibration import Shape, powers_of_two
from engine.protocol import ModelRef
from engine.residency import Residency
from engine.scheduler import Scheduler
from engine.scheduling.device_work import ThreadedDevice
from engine.scheduling.out_of_memory import Step
from engine.scheduling.waiting import Model

RUNS = 10
MIXED = (3, 17, 50, 50, 128, 200, 511)
"""Lengths of the sequences that parity is checked on."""


def tokens(lengths: Sequence[int], vocabulary: int, seed: int = 0) -> list[Encoded]:
    """Random sequences of these lengths."""
    generator = np.random.default_rng(seed)
    return [Encoded(generator.integers(5, vocabulary, length, dtype=np.int32)) for length in lengths]


def copy_limit(device: Device, size: int) -> float:
    """Seconds of one copy of so many bytes from pinned host memory to memory that the device has already."""
    source, target = HostBuffer(size, device), device_memory(size, device)

    def copy() -> None:
        target.copy_(source.flat, non_blocking=True)
        _finish(device)

    return min(_seconds(copy) for _ in range(RUNS))


def swap_in(embedder: LoadedModel) -> float:
    """Seconds from a copy in host memory to a model that can run, its memory asked of the driver; the median."""
    copy, device = embedder.to_host(), embedder.device
    times = []
    for _ in range(RUNS):
        give_back_memory(device)
        began = time.perf_counter()
        back = copy.to_device()
        times.append(time.perf_counter() - began)
        del back
    return median(times)


def whole_swap(subject: Subject) -> float:
    """Seconds from asking for a model in host memory to having it, where another one leaves for it; the fastest."""
    return asyncio.run(swap_models(subject))


def activations(embedder: LoadedModel, measure: Callable[[Callable[[], object]], int]) -> list[tuple[int, int, int]]:
    """Tokens, bytes of a pass over them by `measure`, and bytes by the arithmetic that is used before a load."""
    spec, device = embedder.spec, embedder.device
    shape = Shape.of(
        spec.config,
        spec.family,
        longest=spec.max_tokens,
        itemsize=embedder.layout.dtype.itemsize,
        place=device.place.type,
        threads=torch.get_num_threads(),
    )
    found = []
    for size in powers_of_two(device.batch_tokens):
        whole, rest = divmod(size, spec.max_tokens)
        ids = tokens([spec.max_tokens] * whole + [rest] * bool(rest), spec.config["vocab_size"])
        found.append((size, measure(partial(_run, embedder, ids)), shape.peak(size)))
    return found


def attention_difference(device: Device, dtype: torch.dtype, heads: int = 12, width: int = 64) -> float:
    """Greatest difference between the device's attention and the plain one over the same packed sequences."""
    batch = pack(tokens(MIXED, 100), device.place)
    generator = torch.Generator().manual_seed(0)
    random = torch.randn(sum(MIXED), 3, heads, width, generator=generator).to(device.place, dtype)
    q, k, v = random.unbind(1)
    scale = width**-0.5
    fast = resolve_attention(device.place, dtype)(q, k, v, batch.tokens.sequences, scale)
    exact = attend_runs(q.float(), k.float(), v.float(), batch.tokens.sequences, scale)
    return float((fast.float() - exact).abs().max())


def least_cosine(embedder: LoadedModel, reference: LoadedModel) -> float:
    """Between the vectors of two copies of one model on two devices, over mixed lengths: the least."""
    lengths = [min(length, embedder.spec.max_tokens) for length in MIXED]
    ids = tokens(lengths, embedder.spec.config["vocab_size"])
    one, other = (stacked(model.run(model.pack(ids))) for model in (embedder, reference))
    return float(_cosines(one, other).min())


def company_difference(embedder: LoadedModel) -> float:
    """Greatest difference between a text's vector alone and the same among others."""
    lengths = [min(length, embedder.spec.max_tokens) for length in MIXED]
    ids = tokens(lengths, embedder.spec.config["vocab_size"])
    together = stacked(embedder.run(embedder.pack(ids)))
    alone = np.concatenate([stacked(embedder.run(embedder.pack([one]))) for one in ids])
    return float(np.abs(together - alone).max())


def speed(embedder: LoadedModel, length: int, seconds: float) -> float:
    """Tokens per second over full batches of texts of one length, packing and the copy of the results included."""
    count = max(embedder.device.batch_tokens // length, 1)
    ids = tokens([length] * count, embedder.spec.config["vocab_size"])
    embedder.run(embedder.pack(ids))
    began, passes = time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < seconds:
        embedder.run(embedder.pack(ids))
        passes += 1
    return passes * count * length / passed


@dataclass(frozen=True, slots=True)
class Ladder:
    """What happened to requests whose batches did not fit."""

    answered: int
    failed: int
    least_cosine: float
    """With the same texts' vectors where there was room."""
    steps: dict[str, int]


class TightDevice(ThreadedDevice):
    """Runs out of memory above so many tokens: for a device whose memory can not be narrowed."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    async def run(self, model: Model, packed: Any) -> Any:
        """As any device, if it fits."""
        if len(packed) > self._most:
            raise MemoryError
        return await super().run(model, packed)


async def climb_ladder(subject: Subject, work: ThreadedDevice, narrow: Callable[[int, int], None]) -> Ladder:
    """Run a full batch of texts where it does not fit, beside an idle sibling.

    `narrow` makes it so; it is told the bytes of the batch's activations and those of the sibling.
    """
    device = subject.device
    ref, sibling = (ModelRef(id=name, source=subject.ref.source) for name in ("busy", "idle"))
    residency = Residency(
        budget=4 * plan_load(ref, device).bytes,
        plan=lambda wanted, progress: plan_load(wanted, device, progress),
        discarded=lambda: give_back_memory(device),
    )
    steps: Counter[str] = Counter()

    async def free_memory(model: Any, step: int) -> bool:
        if step == Step.EVICT_SIBLING:
            return await residency.evict_sibling(model)
        give_back_memory(device)
        return True

    scheduler = Scheduler(
        work=work,
        batch_tokens=device.batch_tokens,
        workers=1,
        max_waiting_tokens=10**9,
        free_memory=free_memory,
        on_step=lambda step: steps.update([step.name.lower()]),
    )
    try:
        await residency.load(sibling)
        async with residency.acquire(ref) as loaded:
            model = cast(LoadedModel, loaded)
            length = min(512, model.spec.max_tokens)
            ids = tokens([length] * (device.batch_tokens // length), model.spec.config["vocab_size"])
            expected = np.concatenate([stacked(model.run(model.pack([one]))) for one in ids])
            narrow(model.activation, model.layout.bytes)
            outcomes = await asyncio.gather(*(scheduler.run(model, [one]) for one in ids), return_exceptions=True)
        cosines = [
            float(_cosines(stacked(outcome.rows), expected[place : place + 1])[0])
            for place, outcome in enumerate(outcomes)
            if not isinstance(outcome, BaseException)
        ]
        return Ladder(len(cosines), len(outcomes) - len(cosines), min(cosines, default=0.0), dict(steps))
    finally:
        await scheduler.close()
        await residency.close()
        work.close()


def _run(embedder: LoadedModel, ids: Sequence[Encoded]) -> object:
    return embedder.run(embedder.pack(ids))


def _cosines(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    cosines: NDArray[np.float32] = (one * other).sum(1) / norms
    return cosines


def _seconds(job: Callable[[], object]) -> float:
    began = time.perf_counter()
    job()
    return time.perf_counter() - began


def _finish(device: Device) -> None:
    if device.on_cuda:
        torch.cuda.synchronize(device.place)
