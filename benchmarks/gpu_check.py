"""Everything about the engine that only a GPU can show, in one command of a few minutes, without a network.

    python -m benchmarks.gpu_check [--device cuda:0] [--seconds 10] [--name gpu-check] [--dry]

A BERT-base with random weights in bfloat16: swap-in beside the limit of a pinned copy, memory by the driver's count,
activations beside the arithmetic, parity of attention and vectors with the CPU's path, the out-of-memory ladder in
memory that is too small, and speed. Without CUDA it tries what it can on the CPU with a tiny model, and keeps nothing.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import torch

from benchmarks import gpu_measures as measures
from benchmarks import machine
from benchmarks.processes import NotMeasurable
from benchmarks.random_bert import BASE, TINY, write_bert
from benchmarks.report import Report, Table, publish
from benchmarks.swap import COPIES, Subject, books_of
from engine.device import Device, open_device
from engine.memory.calibration import calibrate
from engine.protocol import ModelRef
from engine.scheduling.device_work import ThreadedDevice
from engine.settings import EngineSettings

NO_CUDA = (
    "There is no CUDA device on this machine: what is above was tried on the CPU with a tiny model, "
    "nothing about a GPU was measured, and nothing is kept."
)
LEAST_BYTES = 10_000_000
"""Of a model whose memory and copies are judged; a smaller one drowns in what surrounds it."""
LADDER_SHARE = 0.3
"""Of a full batch's activations that the narrowed memory leaves: the batch has to be halved, and then fits."""


class Check(msgspec.Struct, frozen=True):
    """One thing that was looked at, and whether it is as it should be."""

    name: str
    found: str
    target: str
    holds: bool


def main(arguments: list[str]) -> int:
    """Measure, print, and keep the results unless the run is dry. 0 where every target is met."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.gpu_check")
    options.add_argument("--device", default="cuda:0")
    options.add_argument("--seconds", type=float, default=10.0, help="of each measurement of speed")
    options.add_argument("--name", default="gpu-check", help="of the files in results/")
    options.add_argument("--dry", action="store_true", help="print only")
    chosen = options.parse_args(arguments)
    on_cuda = torch.cuda.is_available()
    settings = EngineSettings(device=chosen.device) if on_cuda else EngineSettings(device="cpu", max_batch_tokens=2048)
    here = machine.describe()
    with tempfile.TemporaryDirectory() as folder:
        written = write_bert(Path(folder) / "bert", BASE if on_cuda else TINY)
        checks, numbers = run_checks(written, open_device(settings), chosen.seconds if on_cuda else 0.2)
    publish(
        Report(
            name=chosen.name,
            title="GPU check",
            command=" ".join(["python -m benchmarks.gpu_check", *arguments]),
            machine=here,
            tables=[_verdicts(checks), _activations(numbers)],
            numbers=numbers,
        ),
        keep=on_cuda and not chosen.dry,
    )
    if not on_cuda:
        raise NotMeasurable(NO_CUDA)
    return 0 if all(check.holds for check in checks) else 1


def run_checks(folder: Path, device: Device, seconds: float) -> tuple[list[Check], dict[str, object]]:
    """All checks of one model on one device."""
    subject = Subject("BERT", ModelRef(id="bert", source=str(folder)), folder / "model.safetensors", device)
    numbers: dict[str, object] = {"device": device.name, "activations": []}
    checks: list[Check] = []
    steps: Mapping[str, Callable[[], list[Check]]] = {
        "memory": lambda: _memory(subject, numbers),
        "swap-in": lambda: _swap(subject, numbers),
        "parity": lambda: _parity(subject, numbers),
        "speed": lambda: _speed(subject, numbers, seconds),
        "ladder": lambda: _ladder(subject, numbers),  # last: it narrows the memory of the process
    }
    for name, check in steps.items():
        print(f"{name} …", file=sys.stderr, flush=True)
        checks += check()
    return checks, numbers


def _memory(subject: Subject, numbers: dict[str, object]) -> list[Check]:
    books = books_of(subject)
    numbers["memory"] = books
    off = books["reported"] / books["grown"] - 1
    megabytes = ", ".join(f"{name} {size / COPIES / 1e6:.1f} MB" for name, size in books.items())
    embedder = subject.load()
    if subject.device.on_cuda:
        numbers["activations"] = measures.activations(embedder, lambda run: _peak(run, subject.device.place))
    judged = books["reported"] >= COPIES * LEAST_BYTES
    target = "within 5 %" if judged else ""
    return [Check("bytes of a model", f"{megabytes} ({off:+.1%})", target, abs(off) <= 0.05 or not judged)]


def _swap(subject: Subject, numbers: dict[str, object]) -> list[Check]:
    embedder = subject.load()
    size = embedder.layout.bytes
    limit = measures.copy_limit(subject.device, size)
    swap = measures.swap_in(embedder)
    del embedder
    whole = measures.whole_swap(subject)
    numbers["swap"] = {"bytes": size, "copy": limit, "swap-in": swap, "whole swap": whole}
    rate = f"{size / 1e6:.0f} MB at {size / limit / 1e9:.1f} GB/s take {limit * 1e3:.2f} ms"
    swap_in = f"{swap * 1e3:.2f} ms, {swap / limit:.2f} times the copy"
    judged = size >= LEAST_BYTES
    return [
        Check("pinned copy", rate, "", True),
        Check("swap-in", swap_in, "2 times" if judged else "", swap <= 2 * limit or not judged),
        Check("whole swap", f"{whole * 1e3:.2f} ms, {whole / limit:.2f} times the copy", "", True),
    ]


def _parity(subject: Subject, numbers: dict[str, object]) -> list[Check]:
    embedder = subject.load()
    dtype = embedder.layout.dtype
    reference = replace(subject, device=open_device(EngineSettings(device="cpu"))).load()
    attention = measures.attention_difference(subject.device, dtype)
    cosine = measures.least_cosine(embedder, reference)
    company = measures.company_difference(embedder)
    numbers["parity"] = {"attention": attention, "cosine": cosine, "company": company}
    exact = dtype == torch.float32
    close, alike, same = (1e-5, 1 - 1e-5, 1e-5) if exact else (0.02, 0.999, 0.01)
    return [
        Check("attention beside the plain one", f"differs by {attention:.1e}", f"{close:g}", attention <= close),
        Check("vectors beside the CPU's", f"least cosine {cosine:.6f}", f"{alike:g}", cosine >= alike),
        Check("a text alone and in company", f"differs by {company:.1e}", f"{same:g}", company <= same),
    ]


def _speed(subject: Subject, numbers: dict[str, object], seconds: float) -> list[Check]:
    embedder = subject.load()
    speeds = {length: measures.speed(embedder, length, seconds) for length in (50, 512)}
    numbers["tokens per second"] = speeds
    return [
        Check(f"tokens per second, {length} to a text", f"{found:,.0f}", "", True) for length, found in speeds.items()
    ]


def _ladder(subject: Subject, numbers: dict[str, object]) -> list[Check]:
    device = subject.device
    work = ThreadedDevice() if device.on_cuda else measures.TightDevice(device.batch_tokens // 3)
    ladder = asyncio.run(measures.climb_ladder(subject, work, partial(_narrow, device)))
    numbers["ladder"] = msgspec.to_builtins(ladder)
    steps = ", ".join(f"{name} {count}" for name, count in ladder.steps.items())
    climbed = {"empty_caches", "evict_sibling", "halve"} <= set(ladder.steps)
    return [
        Check("out of memory: steps taken", steps or "none", "caches, sibling, halves", climbed),
        Check("out of memory: answered", f"{ladder.answered}, failed {ladder.failed}", "all", ladder.failed == 0),
        Check("out of memory: right", f"least cosine {ladder.least_cosine:.6f}", "0.999", ladder.least_cosine >= 0.999),
    ]


def _narrow(device: Device, activation: int, sibling: int) -> None:
    """Leave the process, once the sibling is gone, a part of the memory that a full batch needs."""
    if device.on_cuda:
        allowed = torch.cuda.memory_reserved(device.place) - sibling + int(LADDER_SHARE * activation)
        total = torch.cuda.get_device_properties(device.place).total_memory
        torch.cuda.set_per_process_memory_fraction(allowed / total, device.place)


def _peak(run: Callable[[], object], place: torch.device) -> int:
    return calibrate(lambda _: run(), [1], place).at(1)


def _verdicts(checks: Sequence[Check]) -> Table:
    rows = [(check.name, check.found, check.target, "yes" if check.holds else "NO") for check in checks]
    return Table("Checks", ("", "found", "target", "holds"), rows)


def _activations(numbers: Mapping[str, object]) -> Table:
    found = numbers["activations"]
    rows = [
        (f"{size:,}", f"{measured / 1e6:.1f}", f"{arithmetic / 1e6:.1f}", f"{measured / size:,.0f}")
        for size, measured, arithmetic in (found if isinstance(found, list) else ())
    ]
    return Table(
        "Activations",
        ("tokens", "measured, MB", "arithmetic, MB", "measured, bytes per token"),
        rows,
        "Measured on CUDA only. The arithmetic admits a model before it was measured.",
    )


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except NotMeasurable as reason:
        print(reason, file=sys.stderr)
        sys.exit(1)
