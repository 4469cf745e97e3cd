"""What it takes to bring a model to the device on the CPU: from host memory, and from its files.

python -m benchmarks swap [--rounds 9] [--name swap] [--dry]
"""

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import FileIO
from pathlib import Path
from typing import cast

import numpy as np
import torch

from benchmarks import machine
from benchmarks.processes import resident_bytes
from benchmarks.random_bert import BASE, write_bert
from benchmarks.report import Report, Table, publish, shown
from benchmarks.rounds import Spread, Step, interleave, ratio, spread
from benchmarks.served import starter_folder
from engine.device import Device, give_back_memory, open_device
from engine.loading.loaded import LoadedModel, ModelInHost
from engine.loading.plan import plan_load
from engine.memory.buffers import map_memory
from engine.protocol import ModelRef
from engine.residency import Residency
from engine.settings import EngineSettings

SWAP_TARGET, LOAD_TARGET, BOOKS_TARGET = 1.3, 1.5, 0.05
RUNS = 3
"""Of each job in a round; the fastest counts."""
COPIES = 3
"""Of a model, loaded to see by how much the process grows."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A model that is moved about."""

    title: str
    ref: ModelRef
    file: Path
    device: Device

    def load(self) -> LoadedModel:
        """From its files, all that a node does."""
        return cast(LoadedModel, plan_load(self.ref, self.device).load())


def main(arguments: list[str]) -> None:
    """Measure, print, and keep the results unless the run is dry."""
    options = argparse.ArgumentParser(prog="python -m benchmarks swap")
    options.add_argument("--rounds", type=int, default=9)
    options.add_argument("--name", default="swap", help="of the files in results/")
    options.add_argument("--dry", action="store_true", help="print only")
    chosen = options.parse_args(arguments)
    here = machine.describe()
    device = open_device(EngineSettings(device="cpu"))
    with tempfile.TemporaryDirectory() as folder:
        base = write_bert(Path(folder) / "base", BASE)
        subjects = [_subject("all-MiniLM-L6-v2", starter_folder(), device), _subject("BERT-base", base, device)]
        books = {subject.title: books_of(subject) for subject in subjects}
        steps = {name: step for subject in subjects for name, step in _steps(subject).items()}
        numbers = interleave(steps, chosen.rounds, rest=0.1)
    publish(
        Report(
            name=chosen.name,
            title="Bringing a model to the device",
            command=" ".join(["python -m benchmarks swap", *arguments]),
            machine=here,
            tables=[_swaps(subjects, numbers), _loads(subjects, numbers), _memory(books)],
            numbers={"seconds": numbers, "memory": books},
        ),
        keep=not chosen.dry,
    )


def _subject(title: str, folder: Path, device: Device) -> Subject:
    return Subject(title, ModelRef(id=title, source=str(folder)), folder / "model.safetensors", device)


def _steps(subject: Subject) -> Mapping[str, Step]:
    copy = subject.load().to_host()
    return {
        f"{subject.title}: from host memory": partial(_from_host, subject, copy),
        f"{subject.title}: from its files": partial(_from_files, subject),
    }


def _from_host(subject: Subject, copy: ModelInHost) -> dict[str, float]:
    source = np.ones(copy.layout.bytes, dtype=np.uint8)
    jobs: dict[str, Callable[[], object]] = {"plain copy": source.copy, "swap-in": copy.to_device}
    return _fastest(jobs) | {"through the residency": asyncio.run(swap_models(subject))}


def _from_files(subject: Subject) -> dict[str, float]:
    jobs: dict[str, Callable[[], object]] = {"read": partial(_read, subject.file), "load": subject.load}
    cold = _fastest(jobs, before=partial(_forget, subject.file))
    return _fastest(jobs) | {f"{name}, cold": seconds for name, seconds in cold.items()}


def _fastest(jobs: Mapping[str, Callable[[], object]], before: Callable[[], None] = lambda: None) -> dict[str, float]:
    """Seconds of each job, the fastest of some runs that take turns."""
    best = dict.fromkeys(jobs, float("inf"))
    for _ in range(RUNS):
        for name, job in jobs.items():
            before()
            began = time.perf_counter()
            kept = job()
            best[name] = min(best[name], time.perf_counter() - began)
            del kept
    return best


async def swap_models(subject: Subject) -> float:
    """Seconds until a model that is in host memory can be used where another one has to leave for it."""
    refs = [ModelRef(id=name, source=subject.ref.source) for name in ("one", "other")]
    plan = plan_load(refs[0], subject.device)
    residency = Residency(
        budget=plan.bytes * 3 // 2,
        host_budget=3 * plan.bytes,
        plan=lambda ref, progress: plan_load(ref, subject.device, progress),
    )
    best = float("inf")
    for ref in [*refs, *refs, *refs * RUNS]:
        began = time.perf_counter()
        async with residency.acquire(ref):
            seconds = time.perf_counter() - began
        best = min(best, seconds)
    await residency.close()
    return best


def _read(file: Path) -> object:
    """The file in fresh memory, by as few calls as can be."""
    memory = map_memory(file.stat().st_size)
    left = memory.numpy().data
    with FileIO(file) as stream:
        while left:
            left = left[stream.readinto(left) :]
    return memory


def _forget(file: Path) -> None:
    """Take a file out of the system's cache."""
    with file.open("rb") as stream:
        os.fsync(stream.fileno())
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def books_of(subject: Subject) -> dict[str, int]:
    """Bytes that models are said to take, and by how much the process grew for them."""
    plan = plan_load(subject.ref, subject.device)
    kept: list[object] = [plan.load()]  # the first load brings libraries too
    sizes = [taken_memory(subject.device)]
    kept += [plan.load() for _ in range(COPIES)]
    sizes.append(taken_memory(subject.device))
    return {"reported": COPIES * plan.bytes, "grown": sizes[1] - sizes[0]}


def taken_memory(device: Device) -> int:
    """Bytes that the process holds where models live; on CUDA as the driver sees it, all processes together."""
    give_back_memory(device)
    if device.on_cuda:
        free, total = torch.cuda.mem_get_info(device.place)
        return total - free
    return resident_bytes(os.getpid())


Numbers = Mapping[str, Mapping[str, Spread]]


def _swaps(subjects: Sequence[Subject], numbers: Numbers) -> Table:
    rows = []
    for subject in subjects:
        found = numbers[f"{subject.title}: from host memory"]
        by = ratio(found["swap-in"], found["plain copy"])
        whole = ratio(found["through the residency"], found["plain copy"])
        rows.append(
            (
                subject.title,
                _milliseconds(found["plain copy"]),
                _milliseconds(found["swap-in"]),
                shown(by, ".2f"),
                f"{SWAP_TARGET}",
                _milliseconds(found["through the residency"]),
                shown(whole, ".2f"),
            )
        )
    columns = ("", "plain copy, ms", "swap-in, ms", "ratio", "target", "whole swap, ms", "ratio to the copy")
    return Table(
        "From host memory",
        columns,
        rows,
        "Plain copy: NumPy's copy of as many bytes into fresh memory. Swap-in: from the copy in host memory to a model "
        "that can run. Whole swap: from asking the residency for it to having it, while another model leaves for it.",
    )


def _loads(subjects: Sequence[Subject], numbers: Numbers) -> Table:
    rows = []
    for subject in subjects:
        found = numbers[f"{subject.title}: from its files"]
        for cached, suffix in (("in the system's cache", ""), ("on disk alone", ", cold")):
            read, load = found["read" + suffix], found["load" + suffix]
            rows.append(
                (
                    f"{subject.title}, {cached}",
                    _milliseconds(read),
                    _milliseconds(load),
                    shown(ratio(load, read), ".2f"),
                    f"{LOAD_TARGET}",
                )
            )
    return Table(
        "From its files",
        ("", "reading, ms", "load, ms", "ratio", "target"),
        rows,
        "Reading: the weight file into fresh memory. Load: all from the reference to a model that can run, its "
        "configuration, network and tokenizer included.",
    )


def _memory(books: Mapping[str, Mapping[str, int]]) -> Table:
    rows = [
        (
            title,
            f"{found['reported'] / COPIES / 1e6:.1f}",
            f"{found['grown'] / COPIES / 1e6:.1f}",
            f"{found['reported'] / found['grown'] - 1:+.1%}",
            f"{BOOKS_TARGET:.0%}",
        )
        for title, found in books.items()
    ]
    return Table(
        "Memory", ("", "reported, MB", "process grew by, MB", "difference", "target"), rows, f"Mean of {COPIES} loads."
    )


def _milliseconds(seconds: Spread) -> str:
    return shown(spread([1000 * value for value in seconds.rounds]), ".1f")
