"""Traces of requests: who asks which model for what, and when. A trace depends on its seed only.

- `steady`: every request draws its model by Zipf, independently of all others. The best case for counting uses.
- `bursty`: half of the requests come in sessions of one tenant with one model, 20 to 200 requests close together.
- `drifting`: as steady, but what is popular changes: one model in ten changes its rank every thirtieth of the trace.
- `scanned`: as steady, and twice in the trace a bulk job asks every model of the catalogue once, in turn.
"""

import random
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from engine.protocol import Lane, ModelRef

Kind = Literal["steady", "bursty", "drifting", "scanned"]
KINDS: tuple[Kind, ...] = ("steady", "bursty", "drifting", "scanned")

ZIPF = 0.9
TENANTS = 40
BULK_SHARE = 0.05
"""Of the requests; of the tokens it is most."""
LONGEST = 512


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request."""

    time: float
    model: ModelRef
    lengths: tuple[int, ...]
    """Tokens of each text."""
    flow: str
    lane: Lane


def trace(kind: Kind, models: Sequence[ModelRef], *, requests: int, rate: float, seed: int) -> list[Arrival]:
    """`requests` in order of time, `rate` a second on average."""
    source = random.Random(f"{kind} {seed}")
    span = requests / rate
    arrivals = sorted(_arrivals(kind, models, requests, span, source), key=lambda arrival: arrival.time)
    return arrivals[:requests]


def _arrivals(
    kind: Kind, models: Sequence[ModelRef], requests: int, span: float, source: random.Random
) -> Iterator[Arrival]:
    drawn = requests // 2 if kind == "bursty" else requests
    ranks = list(models)
    weights = _zipf(len(models))
    shifts = 30 if kind == "drifting" else 1
    for shift in range(shifts):
        begin = span * shift / shifts
        for _ in range(drawn // shifts):
            moment = begin + source.random() * span / shifts
            yield _arrival(moment, ranks[_draw(weights, source)], _tenant(source), source)
        for _ in range(len(ranks) // 20):
            one, other = source.randrange(len(ranks)), source.randrange(len(ranks))
            ranks[one], ranks[other] = ranks[other], ranks[one]
    if kind == "bursty":
        yield from _sessions(ranks, requests - drawn, span, source)
    if kind == "scanned":
        for begin in (span * 0.3, span * 0.7):
            for place, model in enumerate(models):
                lengths = tuple(source.randint(20, 200) for _ in range(8))
                yield Arrival(begin + place * span * 0.1 / len(models), model, lengths, "evaluation", "bulk")


def _sessions(models: Sequence[ModelRef], requests: int, span: float, source: random.Random) -> Iterator[Arrival]:
    left = requests
    weights = _zipf(len(models))
    while left > 0:
        length = min(left, source.randint(20, 200))
        left -= length
        moment, model, tenant = source.random() * span, models[_draw(weights, source)], _tenant(source)
        for _ in range(length):
            moment += source.expovariate(20.0)
            yield _arrival(moment, model, tenant, source)


def _arrival(moment: float, model: ModelRef, tenant: str, source: random.Random) -> Arrival:
    if source.random() < BULK_SHARE:
        return Arrival(moment, model, tuple(source.randint(50, LONGEST) for _ in range(32)), tenant, "bulk")
    texts = source.choice((1, 1, 1, 2, 4, 8))
    lengths = tuple(min(LONGEST, 3 + int(source.lognormvariate(3.0, 0.9))) for _ in range(texts))
    return Arrival(moment, model, lengths, tenant, "interactive")


def _tenant(source: random.Random) -> str:
    return f"tenant-{_draw(_zipf(TENANTS), source):02}"


def _zipf(count: int) -> list[float]:
    """Cumulative weights of 1/rank^ZIPF."""
    return list(accumulate(rank**-ZIPF for rank in range(1, count + 1)))


def _draw(cumulative: Sequence[float], source: random.Random) -> int:
    return bisect(cumulative, source.random() * cumulative[-1])
