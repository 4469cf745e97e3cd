"""What the scheduler itself costs: per request while many wait, per item taken, and in idle time of the device.

python -m benchmarks scheduler [--rounds 5] [--seconds 5] [--name scheduler] [--dry]
"""

import argparse
import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import uvloop

from benchmarks import machine
from benchmarks.report import Report, Table, publish, shown
from benchmarks.rounds import Spread, Step, interleave
from benchmarks.served import starter_folder
from engine.catalog import describe
from engine.device import Device, open_device
from engine.encoded import Encoded
from engine.loading.loaded import load_model
from engine.scheduler import Scheduler
from engine.scheduling.device_work import ThreadedDevice
from engine.scheduling.turns import ModelTurns
from engine.settings import EngineSettings
from shoal.load.corpus import texts

REQUESTS = 10_000
BATCH_TOKENS = 512
LENGTH = 16
"""Tokens of a text."""
TARGET_MICROSECONDS = 40.0
TARGET_GAP = 0.03

OVERHEADS = {
    "nothing else waiting": (1, 1, 1),
    "100 waiting": (100, 1, 1),
    "1,000 waiting": (1000, 1, 1),
    "1,000 waiting, each a flow": (1000, 1000, 1),
    "1,000 waiting, for 200 models": (1000, 10, 200),
    "10,000 waiting": (10_000, 1, 1),
}
"""Callers, flows, models."""

TAKES = {
    "1,000 waiting": (1000, 1, 1),
    "100,000 waiting": (100_000, 1, 1),
    "100,000 waiting, in 1,000 flows": (100_000, 1000, 1),
    "100,000 waiting, in 1,000 flows, for 200 models": (100_000, 1000, 200),
}
"""Items, flows, models."""

LOADS = {"4 callers, 32 texts each": (4, 32), "16 callers, 1 text each": (16, 1), "200 callers, 1 text each": (200, 1)}
"""Callers, texts of each request."""


def main(arguments: list[str]) -> None:
    """Measure, print, and keep the results unless the run is dry."""
    options = argparse.ArgumentParser(prog="python -m benchmarks scheduler")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=5.0, help="of each trace in each round")
    options.add_argument("--name", default="scheduler", help="of the files in results/")
    options.add_argument("--dry", action="store_true", help="print only")
    chosen = options.parse_args(arguments)
    here = machine.describe()
    device = open_device(EngineSettings(device="cpu"))
    steps = _overhead_steps() | _take_steps() | _trace_steps(device, chosen.seconds)
    numbers = interleave(steps, chosen.rounds, rest=0.2)
    publish(
        Report(
            name=chosen.name,
            title="The scheduler's own cost",
            command=" ".join(["python -m benchmarks scheduler", *arguments]),
            machine=here,
            tables=[_overheads(numbers), _takes(numbers), _gaps(numbers, device)],
            numbers=numbers,
        ),
        keep=not chosen.dry,
    )


class Instant:
    """A device that takes no time: what is left is the scheduler."""

    async def pack(self, _model: Any, token_ids: Sequence[Any]) -> Any:
        """As it is."""
        return token_ids

    async def run(self, _model: Any, packed: Any) -> Sequence[Any]:
        """The same row for each; other tasks run meanwhile, as beside a real device."""
        await asyncio.sleep(0)
        return [ROW] * len(packed)


class Name:
    """Stands in for a model."""

    def pack(self, token_ids: Sequence[Any]) -> Any:
        """Not called: `Instant` packs."""
        raise NotImplementedError

    def run(self, batch: Any) -> Sequence[Any]:
        """Not called: `Instant` runs."""
        raise NotImplementedError


ROW = np.zeros(384, dtype=np.float32)
TEXT = [Encoded(np.zeros(LENGTH, dtype=np.int32))]


def _overhead_steps() -> dict[str, Step]:
    return {f"overhead, {name}": _overhead_step(*shape) for name, shape in OVERHEADS.items()}


def _overhead_step(callers: int, flows: int, models: int) -> Step:
    def step() -> dict[str, float]:
        spent = uvloop.run(_served(callers, flows, models))
        bare = uvloop.run(_bare(callers))
        return {"microseconds": 1e6 * (spent - bare) / REQUESTS, "caller": 1e6 * bare / REQUESTS}

    return step


async def _served(callers: int, flows: int, models: int) -> float:
    """Processor seconds for REQUESTS requests of `callers` who each send the next one when the last is answered."""
    scheduler = Scheduler(work=Instant(), batch_tokens=BATCH_TOKENS, max_waiting_tokens=10**9)
    names = [Name() for _ in range(models)]

    async def caller(number: int) -> None:
        for _ in range(REQUESTS // callers):
            await scheduler.run(names[number % models], TEXT, flow=str(number % flows))

    began = time.process_time()
    await asyncio.gather(*(caller(number) for number in range(callers)))
    spent = time.process_time() - began
    await scheduler.close()
    return spent


async def _bare(callers: int) -> float:
    """The same callers, answered by nothing but the loop: what their own tasks and futures cost."""

    async def caller() -> None:
        for _ in range(REQUESTS // callers):
            answer = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(answer.set_result, None)
            await answer

    began = time.process_time()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return time.process_time() - began


class Piece(NamedTuple):
    """An item without a caller."""

    tokens: int


def _take_steps() -> dict[str, Step]:
    return {f"take, {name}": _take_step(*shape) for name, shape in TAKES.items()}


def _take_step(items: int, flows: int, models: int) -> Step:
    def step() -> dict[str, float]:
        turns: ModelTurns[int, Piece] = ModelTurns(2 * BATCH_TOKENS)
        for number in range(items):
            turns.add(number % models, str(number % flows), 1.0, [Piece(LENGTH)], LENGTH)
        took: list[float] = []
        while turns and len(took) < 1000:
            began = time.perf_counter()
            taken = len(turns.take(BATCH_TOKENS).batch)
            took.append((time.perf_counter() - began) / taken)
        return {"microseconds": 1e6 * float(np.mean(took))}

    return step


class Passed(NamedTuple):
    """A forward pass."""

    thread: int
    began: float
    ended: float
    tokens: int
    waiting: bool
    """Something waited when it ended."""


class Traced:
    """A real model that notes when it ran."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.waits: Callable[[], int] = int
        """Tokens that wait now."""
        self.passes: list[Passed] = []

    def pack(self, token_ids: Sequence[Any]) -> Any:
        """As the model does, with the count of tokens."""
        return self._model.pack(token_ids), sum(map(len, token_ids))

    def run(self, batch: Any) -> Sequence[Any]:
        """As the model does."""
        packed, tokens = batch
        began = time.perf_counter()
        rows: Sequence[Any] = self._model.run(packed)
        ended = time.perf_counter()
        self.passes.append(Passed(threading.get_ident(), began, ended, tokens, self.waits() > 0))
        return rows


def _trace_steps(device: Device, seconds: float) -> dict[str, Step]:
    spec = describe(starter_folder())
    model = load_model(spec, device, device.dtype("float32"))
    encoded = [np.array(one.ids, dtype=np.int32) for one in _encode(spec.folder / "tokenizer.json")]

    def stepping(callers: int, size: int) -> Callable[[], dict[str, float]]:
        def step() -> dict[str, float]:
            traced = Traced(model)
            uvloop.run(_traced(traced, device, encoded, callers, size, seconds))
            return _idleness(traced.passes)

        return step

    return {f"trace, {name}": stepping(*shape) for name, shape in LOADS.items()}


def _encode(file: Any) -> list[Any]:
    import tokenizers  # noqa: PLC0415  only this part needs it

    encoder = tokenizers.Tokenizer.from_file(str(file))
    encoder.no_padding()
    return list(encoder.encode_batch_fast(texts(640)))


async def _traced(
    model: Traced, device: Device, encoded: Sequence[Any], callers: int, size: int, seconds: float
) -> None:
    work = ThreadedDevice(device.workers)
    scheduler = Scheduler(work=work, batch_tokens=device.batch_tokens, workers=device.workers, max_waiting_tokens=10**9)
    model.waits = lambda: scheduler.waiting_tokens
    until = time.perf_counter() + seconds

    async def caller(number: int) -> None:
        place = number * size
        while time.perf_counter() < until:
            await scheduler.run(model, [encoded[(place + at) % len(encoded)] for at in range(size)])
            place += callers * size

    await asyncio.gather(*(caller(number) for number in range(callers)))
    await scheduler.close()
    work.close()


def _idleness(passes: Sequence[Passed]) -> dict[str, float]:
    """Gaps between the passes of a worker as a part of its busy time: all, and those with work waiting."""
    busy = sum(one.ended - one.began for one in passes)
    gaps = needless = 0.0
    for thread in {one.thread for one in passes}:
        for former, later in pairwise(one for one in passes if one.thread == thread):
            gaps += later.began - former.ended
            needless += (later.began - former.ended) * former.waiting
    took = max(one.ended for one in passes) - min(one.began for one in passes)
    return {
        "gap": needless / busy,
        "all gaps": gaps / busy,
        "tokens_per_second": sum(one.tokens for one in passes) / took,
    }


Numbers = dict[str, dict[str, Spread]]


def _overheads(numbers: Numbers) -> Table:
    rows = [
        (name, shown(found["microseconds"], ".1f"), shown(found["caller"], ".1f"))
        for name, found in ((name, numbers[f"overhead, {name}"]) for name in OVERHEADS)
    ]
    return Table(
        "Processor time of a request of one text",
        ("", "scheduler, µs", "its caller's own task, µs"),
        rows,
        f"From `run` to the vector, batches of {BATCH_TOKENS // LENGTH} texts, on a device that takes no time; the "
        "second column is what the callers cost without a scheduler, and is not in the first. "
        f"Target: {TARGET_MICROSECONDS:.0f} µs at 1,000 waiting.",
    )


def _takes(numbers: Numbers) -> Table:
    rows = [(name, shown(numbers[f"take, {name}"]["microseconds"], ".2f")) for name in TAKES]
    return Table("Time to take a batch, for each item in it", ("", "µs"), rows, "Target: the same, whatever waits.")


def _gaps(numbers: Numbers, device: Device) -> Table:
    rows = [
        (name, shown(found["gap"], ".2%"), shown(found["all gaps"], ".2%"), shown(found["tokens_per_second"]))
        for name, found in ((name, numbers[f"trace, {name}"]) for name in LOADS)
    ]
    return Table(
        "Idle time of the device between batches",
        ("", "gap / busy", "all gaps / busy", "tokens/s"),
        rows,
        f"The bundled model on {device.name}, {device.workers} workers, callers that send again when answered, no HTTP "
        "and no tokenizing. A gap is the time from the end of a worker's batch to the beginning of its next one; the "
        "first column counts those in which something waited from the beginning. "
        f"Target: under {TARGET_GAP:.0%}.",
    )
