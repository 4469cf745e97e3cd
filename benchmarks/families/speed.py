"""How fast a family is on texts of mixed length, beside its reference library's padded batches of the same texts."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from benchmarks.families.case import Case, Reference, sequences
from benchmarks.families.checks import load
from benchmarks.rounds import Spread, Step, interleave
from engine.encoded import DENSE, Encoded
from engine.loading.loaded import LoadedModel
from shoal.load.corpus import lengths

TEXTS = 32
MEAN = 60.0
"""Tokens of a text; they follow a log-normal law."""
TOGETHER = 8
"""Texts of each of the library's batches where it may sort them."""
MEASURED = 0.4
"""Seconds of each measurement, at least."""

PACKED = "packed"
ARRIVAL = "the library, padded, as they arrive"
SORTED = "the library, padded, sorted"


def measure(case: Case, folder: Path, rounds: int, threads: int) -> Mapping[str, Spread]:
    """Tokens per second of a case's wide shape, by way; padding is no token."""
    if case.wide is None:
        return {}
    reference = case.wide(folder)
    model = load(folder)
    sizes = lengths(TEXTS, mean=MEAN)
    encoded = case.read(folder, sizes, 0) if case.read else sequences(sizes, int(model.spec.config["vocab_size"]))
    torch.set_num_threads(threads)  # for all alike; loading has left torch what one worker of the engine may take
    steps: dict[str, Step] = {
        PACKED: _step(lambda: _packed(model, encoded), encoded),
        ARRIVAL: _step(lambda: reference.padded(encoded), encoded),
        SORTED: _step(lambda: _sorted(reference, encoded), encoded),
    }
    return {name: found["tokens/s"] for name, found in interleave(steps, rounds, rest=0.05).items()}


def _step(run: Callable[[], object], encoded: Sequence[Encoded]) -> Step:
    tokens = sum(map(len, encoded))

    def step() -> dict[str, float]:
        run()
        began, passes = time.perf_counter(), 0
        while (passed := time.perf_counter() - began) < MEASURED:
            run()
            passes += 1
        return {"tokens/s": passes * tokens / passed}

    return step


@torch.inference_mode()
def _packed(model: LoadedModel, encoded: Sequence[Encoded]) -> None:
    """A body's hidden states, or all that a model's heads are asked for."""
    batch = model.pack(encoded)
    if encoded[0].outputs == DENSE:
        model.network.body(batch.tokens)
    else:
        model.run(batch)


def _sorted(reference: Reference, encoded: Sequence[Encoded]) -> None:
    """As sentence-transformers does with all texts in one call: the longest first."""
    ordered = sorted(encoded, key=len, reverse=True)
    for start in range(0, len(ordered), TOGETHER):
        reference.padded(ordered[start : start + TOGETHER])
