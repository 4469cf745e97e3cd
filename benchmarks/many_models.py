"""Twelve models where four have room, sixteen callers, traffic by Zipf's law: no answer may be lost or wrong.

    python -m benchmarks many_models [--seconds 60] [--name many_models] [--dry]

A real `shoal engine` on the CPU, called over its own wire, with room for four models on the device and for four more
in host memory. Every vector is compared with that of the same text through the same model with nothing else around.
"""

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

import numpy as np
from numpy.typing import NDArray

from benchmarks import machine
from benchmarks.model_zoo import build_models
from benchmarks.processes import NotMeasurable, free_port, resident_bytes, running
from benchmarks.report import Report, Table, publish
from engine.protocol import EmbedRequest, ModelRef
from engine.runtime import open_runtime
from engine.settings import EngineSettings
from gateway.engine_client import EngineClient
from gateway.errors import GatewayError
from gateway.transport import AsyncioTransport
from shoal.load.corpus import texts

MODELS, ROOM, CLIENTS, TEXTS = 12, 4, 16, 48
ZIPF = 1.0
"""The n-th most popular model is asked n**-ZIPF times as often as the first."""
TOLERANCE = 1e-4
"""Greatest difference between two sums of the same numbers in another order, on vectors of unit length and less."""
PATIENCE = 60.0
SAMPLE_INTERVAL = 0.25

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Fleet:
    """The models, what they are asked, and what each must answer alone."""

    models: Sequence[ModelRef]
    texts: Sequence[str]
    expected: Mapping[str, Vectors]
    """(TEXTS, H) by model id."""
    bytes_each: int


@dataclass(slots=True)
class Outcome:
    """What sixteen callers saw, and what the node held meanwhile."""

    seconds: float = 0.0
    answers: Counter[str] = field(default_factory=Counter)
    """By model id."""
    errors: Counter[str] = field(default_factory=Counter)
    wrong: int = 0
    """Answers that differ by more than TOLERANCE from the model's own, alone."""
    latencies: list[float] = field(default_factory=list)
    most_on_device: int = 0
    most_used: int = 0
    """Bytes of the budget."""
    memory: list[int] = field(default_factory=list)
    """Resident bytes of the process, every SAMPLE_INTERVAL."""
    swaps: dict[str, float] = field(default_factory=dict)

    @property
    def growth(self) -> float:
        """Bytes by which the process is larger in the last quarter than in the second."""
        quarter = len(self.memory) // 4
        return median(self.memory[-quarter:]) - median(self.memory[quarter : 2 * quarter])


def main(arguments: list[str]) -> None:
    """Run, print, and keep the results unless the run is dry."""
    options = argparse.ArgumentParser(prog="python -m benchmarks many_models")
    options.add_argument("--seconds", type=float, default=60.0)
    options.add_argument("--name", default="many_models", help="of the files in results/")
    options.add_argument("--dry", action="store_true", help="print only")
    chosen = options.parse_args(arguments)
    here = machine.describe()
    with tempfile.TemporaryDirectory() as folder:
        fleet = build_fleet(Path(folder))
        with node(fleet) as (url, pid):
            outcome = asyncio.run(drive(url, pid, fleet, chosen.seconds))
    if outcome.errors or outcome.wrong:
        raise NotMeasurable(f"No result: errors {dict(outcome.errors)}, wrong answers {outcome.wrong}.")
    report = Report(
        name=chosen.name,
        title=f"{MODELS} models in the room of {ROOM}",
        command=f"python -m benchmarks many_models {' '.join(arguments)}".strip(),
        machine=here,
        tables=[_table(outcome, fleet)],
        numbers={
            "seconds": outcome.seconds,
            "answers": dict(outcome.answers),
            "swaps": outcome.swaps,
            "memory": outcome.memory,
            "growth": outcome.growth,
            "latency_ms": {"p50": _percentile(outcome, 50), "p99": _percentile(outcome, 99)},
        },
    )
    publish(report, keep=not chosen.dry)


def build_fleet(folder: Path) -> Fleet:
    """Twelve checkpoints in `folder`, and what each says to every text when it is alone."""
    print("Building the models and asking each alone …", file=sys.stderr, flush=True)
    models = build_models(folder, MODELS)
    asked = texts(TEXTS, mean=20)
    return Fleet(models, asked, *asyncio.run(_ask_alone(models, asked)))


async def _ask_alone(models: Sequence[ModelRef], asked: Sequence[str]) -> tuple[Mapping[str, Vectors], int]:
    expected = {}
    async with open_runtime(EngineSettings(device="cpu")) as runtime:
        for model in models:
            replies = [await runtime.embed(EmbedRequest(model, [text])) for text in asked]
            expected[model.id] = np.stack([np.frombuffer(reply.vectors, dtype="<f4") for reply in replies])
            (bytes_each,) = {held.bytes for held in runtime.status().models}
            await runtime.unload(model)
    return expected, bytes_each


@contextlib.contextmanager
def node(fleet: Fleet) -> Iterator[tuple[str, int]]:
    """A node with room for ROOM models on the device and as many in host memory: its address and process id."""
    port = free_port()
    room = str(ROOM * fleet.bytes_each + fleet.bytes_each // 2)
    command = [sys.executable, "-m", "shoal", "engine", "--port", str(port), "--device", "cpu"]
    command += ["--memory-budget", room, "--host-budget", room]
    with running(command, ready=f"http://127.0.0.1:{port}/health/live") as pid:
        yield f"http://127.0.0.1:{port}", pid


async def drive(url: str, pid: int, fleet: Fleet, seconds: float) -> Outcome:
    """Sixteen callers, each with the next request as soon as the last is answered, for `seconds`."""
    outcome = Outcome()
    engines = EngineClient(AsyncioTransport())
    began = time.monotonic()
    watching = asyncio.create_task(_watch(engines, url, pid, outcome))
    try:
        await asyncio.gather(*(_call(engines, url, fleet, seed, began + seconds, outcome) for seed in range(CLIENTS)))
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await engines.close()
    outcome.seconds = time.monotonic() - began
    outcome.swaps = await asyncio.to_thread(_swaps, url)
    return outcome


async def _call(engines: EngineClient, url: str, fleet: Fleet, seed: int, deadline: float, outcome: Outcome) -> None:
    chance = random.Random(seed)
    popularity = [rank**-ZIPF for rank in range(1, len(fleet.models) + 1)]
    while (began := time.monotonic()) < deadline:
        (model,) = chance.choices(fleet.models, popularity)
        places = chance.sample(range(len(fleet.texts)), chance.randint(1, 4))
        request = EmbedRequest(model, [fleet.texts[place] for place in places], flow=f"caller-{seed}")
        try:
            reply = await engines.embed(url, request, PATIENCE)
        except GatewayError as error:
            outcome.errors[f"{type(error).__name__}: {error.message}"] += 1
            continue
        outcome.latencies.append(time.monotonic() - began)
        outcome.answers[model.id] += 1
        vectors = np.frombuffer(reply.vectors, dtype="<f4").reshape(len(places), -1)
        outcome.wrong += not np.allclose(vectors, fleet.expected[model.id][places], atol=TOLERANCE, rtol=TOLERANCE)


async def _watch(engines: EngineClient, url: str, pid: int, outcome: Outcome) -> None:
    while True:
        status = await engines.status(url, PATIENCE)
        on_device = sum(model.tier == "device" for model in status.models)
        outcome.most_on_device = max(outcome.most_on_device, on_device)
        outcome.most_used = max(outcome.most_used, status.memory_used)
        outcome.memory.append(resident_bytes(pid))
        await asyncio.sleep(SAMPLE_INTERVAL)


def _swaps(url: str) -> dict[str, float]:
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as page:  # noqa: S310
        lines = page.read().decode().splitlines()
    prefix = "shoal_engine_swaps_total{"
    return {line[len(prefix) :].split('"')[1]: float(line.split()[-1]) for line in lines if line.startswith(prefix)}


def _percentile(outcome: Outcome, percent: int) -> float:
    return quantiles(outcome.latencies, n=100)[percent - 1] * 1000


def _table(outcome: Outcome, fleet: Fleet) -> Table:
    answered = outcome.answers.total()
    rows = [
        ("answers, all of them right", f"{answered:,} in {outcome.seconds:.0f} s"),
        ("answers of the least asked model", f"{min(outcome.answers[model.id] for model in fleet.models):,}"),
        ("latency p50, p99", f"{_percentile(outcome, 50):,.1f} ms, {_percentile(outcome, 99):,.1f} ms"),
        *((f"swaps {direction.replace('_', ' ')}", f"{count:,.0f}") for direction, count in outcome.swaps.items()),
        ("most models on the device at once", str(outcome.most_on_device)),
        ("resident memory, median", f"{median(outcome.memory) / 2**20:,.0f} MiB"),
        ("growth, last quarter less second", f"{outcome.growth / 2**20:+,.1f} MiB"),
    ]
    note = (
        f"{CLIENTS} callers, 1 to 4 texts a request, Zipf exponent {ZIPF}; {fleet.bytes_each / 2**20:.1f} MiB a model."
    )
    return Table(f"{MODELS} models, room for {ROOM} on the device", ("what", "measured"), rows, note)
