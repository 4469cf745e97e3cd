"""Measuring in rounds, so that a noisy minute of the machine falls on everything that is compared, not on one thing."""

import sys
import time
from collections.abc import Callable, Mapping
from statistics import median

import msgspec

Step = Callable[[], dict[str, float]]
"""Measures one thing once; what it returns is numbers by name."""


class Spread(msgspec.Struct, frozen=True):
    """One number over all rounds."""

    median: float
    low: float
    high: float
    rounds: list[float]


def interleave(steps: Mapping[str, Step], rounds: int, *, rest: float = 0.5) -> dict[str, dict[str, Spread]]:
    """Run every step once in each round, every second round backwards; numbers by step and name.

    Rests `rest` seconds after each step, and says on stderr what it is doing.
    """
    found: dict[str, dict[str, list[float]]] = {name: {} for name in steps}
    for number in range(rounds):
        order = list(steps) if number % 2 == 0 else list(steps)[::-1]
        for place, name in enumerate(order):
            print(f"round {number + 1}/{rounds}, {place + 1}/{len(order)}: {name}", file=sys.stderr, flush=True)
            for key, value in steps[name]().items():
                found[name].setdefault(key, []).append(value)
            time.sleep(rest)
    return {name: {key: spread(values) for key, values in numbers.items()} for name, numbers in found.items()}


def spread(values: list[float]) -> Spread:
    """Median and range of one number."""
    return Spread(median(values), min(values), max(values), values)


def ratio(above: Spread, below: Spread) -> Spread:
    """Round by round, so that what slowed a whole round cancels out."""
    return spread([one / other for one, other in zip(above.rounds, below.rounds, strict=True)])
