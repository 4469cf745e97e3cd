"""What a fleet is asked: models by Zipf's law, with bursts of models that nobody asked for much before.

A trace depends on its seed only. Nine tenths of the requests draw their model by `ZIPF`; the rest come in bursts:
some seconds in which one model, drawn from all alike, is asked for a hundred times a second.
"""

import math
import random
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import accumulate

ZIPF = 1.1
IN_BURSTS = 0.1
"""Of the requests."""
BURST_RATE = 100.0
"""Requests a second for one model."""
BURST_SECONDS = (5.0, 15.0)
TOKENS = (1500, 0.8, 16000)
"""Median, sigma of the logarithm, and most tokens of one request: some passages to embed, rarely a whole batch."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request."""

    time: float
    model: str
    tokens: int


def trace(models: Sequence[str], *, rate: float, seconds: float, seed: int) -> Iterator[Arrival]:
    """About `rate` requests a second, in order of time; the models by popularity, the most popular first."""
    source = random.Random(f"fleet {seed}")
    return merge(
        _steady(models, rate * (1 - IN_BURSTS), seconds, random.Random(source.random())),
        _bursts(models, rate * IN_BURSTS, seconds, random.Random(source.random())),
        key=lambda arrival: arrival.time,
    )


def _steady(models: Sequence[str], rate: float, seconds: float, source: random.Random) -> Iterator[Arrival]:
    weights = list(accumulate(place**-ZIPF for place in range(1, len(models) + 1)))
    now = source.expovariate(rate)
    while now < seconds:
        yield Arrival(now, models[bisect(weights, source.random() * weights[-1])], _tokens(source))
        now += source.expovariate(rate)


def _bursts(models: Sequence[str], rate: float, seconds: float, source: random.Random) -> Iterator[Arrival]:
    """Bursts overlap, so that together they come to `rate`."""
    pause = BURST_RATE * sum(BURST_SECONDS) / 2 / rate
    arrivals: list[Arrival] = []
    begin = source.expovariate(1 / pause)
    while begin < seconds:
        model, now, end = source.choice(models), begin, begin + source.uniform(*BURST_SECONDS)
        while now < min(end, seconds):
            arrivals.append(Arrival(now, model, _tokens(source)))
            now += source.expovariate(BURST_RATE)
        begin += source.expovariate(1 / pause)
    return iter(sorted(arrivals, key=lambda arrival: arrival.time))


def _tokens(source: random.Random) -> int:
    median, sigma, most = TOKENS
    return min(most, 1 + int(source.lognormvariate(math.log(median), sigma)))
