"""One memory, one sequence of requests, no time: what a policy misses, and what no policy could do better than.

With sizes that differ the best schedule is NP-hard to find (Chrobak et al., 2012), so it is enclosed from both sides:

- `clairvoyant` is a schedule that can be had by who knows the future: Bélády's MIN (1966), which drops what is needed
  last, and MIN made aware of sizes and costs, which drops the most bytes times distance per second of reload; the
  better of the two. With equal sizes and costs it is MIN itself, hence the optimum.
- `bound` is at least as good as the optimum (PFOO-L of Berger, Beckmann and Harchol-Balter, 2018): between two uses a
  model either occupies bytes times steps or misses. The cheapest occupations are granted until all that the memory has
  of them is given away, whether or not they fit side by side.

A miss is a swap-in. Every model is missed at its first use. The model in use occupies its bytes in every schedule.
"""

import heapq
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.memory.eviction import EvictionPolicy, Resident, plan_eviction


@dataclass(frozen=True, slots=True)
class Item:
    """A model as memory sees it."""

    bytes: int
    seconds: float
    """Of a swap-in."""


Items = Mapping[Any, Item]
"""By whatever names a model in a sequence."""


@dataclass(slots=True)
class Missed:
    """What a schedule had to bring in."""

    requests: int = 0
    misses: float = 0.0
    seconds: float = 0.0

    def miss(self, item: Item, share: float = 1.0) -> None:
        """Count one swap-in, or a part of one in a bound."""
        self.misses += share
        self.seconds += share * item.seconds

    @property
    def hit_rate(self) -> float:
        """Requests that found their model there."""
        return 1 - self.misses / self.requests if self.requests else 0.0


@dataclass(slots=True)
class _Held:
    last_used: int
    uses: int = 1
    credit: float = 0.0


def online(sequence: Sequence[Hashable], items: Items, budget: int, policy: EvictionPolicy) -> Missed:
    """A policy as the engine applies it: the engine's own `plan_eviction`, which sees no future."""
    missed, held, inflation = Missed(len(sequence)), dict[Hashable, _Held](), 0.0
    for step, key in enumerate(sequence):
        if (holding := held.get(key)) is not None:
            holding.last_used, holding.uses, holding.credit = step, holding.uses + 1, inflation
            continue
        item = items[key]
        residents = [
            Resident(
                other,
                items[other].bytes,
                state.last_used,
                uses=state.uses,
                reload_seconds=items[other].seconds,
                credit=state.credit,
            )
            for other, state in held.items()
        ]
        for victim in plan_eviction(residents, item.bytes, budget, policy) or ():
            inflation = max(inflation, policy(victim))
            del held[victim.key]
        missed.miss(item)
        held[key] = _Held(step, credit=inflation)
    return missed


def clairvoyant(sequence: Sequence[Hashable], items: Items, budget: int) -> Missed:
    """A schedule that knows the future and can be had: an upper bound on what the optimum misses."""
    return min(
        (_farthest(sequence, items, budget, loss) for loss in (_by_distance, _by_occupation)),
        key=lambda missed: missed.seconds,
    )


def bound(
    sequence: Sequence[Hashable],
    items: Items,
    budget: int,
    worth: Callable[[Item], float] = lambda item: item.seconds,
) -> Missed:
    """Fewer misses than any schedule can have; `worth` is what is minimised: seconds of swap-in, or a count of 1."""
    missed = Missed(len(sequence))
    room = sum(budget - items[key].bytes for key in sequence)
    intervals = []
    last: dict[Hashable, int] = {}
    for step, key in enumerate(sequence):
        item = items[key]
        if key in last:
            occupied = item.bytes * (step - last[key] - 1)
            intervals.append((occupied / worth(item), step, occupied, item))
        else:
            missed.miss(item)
        last[key] = step
    for _, _, occupied, item in sorted(intervals, key=lambda interval: interval[:2]):
        granted = min(occupied, room)
        room -= granted
        if granted < occupied:
            missed.miss(item, 1 - granted / occupied)
    return missed


@dataclass(slots=True)
class _Future:
    """When each model is used next."""

    steps: dict[Hashable, list[int]] = field(default_factory=dict)
    """Descending, so that the next one is the last."""

    @classmethod
    def of(cls, sequence: Iterable[Hashable]) -> "_Future":
        future = cls()
        for step, key in enumerate(sequence):
            future.steps.setdefault(key, []).append(step)
        for steps in future.steps.values():
            steps.reverse()
        return future

    def distance(self, key: Hashable, now: int) -> float:
        steps = self.steps[key]
        return steps[-1] - now if steps else float("inf")


Loss = Callable[[Item, float], float]
"""What keeping an item until its next use, so many steps away, takes; the greatest goes first."""


def _by_distance(_: Item, distance: float) -> float:
    return distance


def _by_occupation(item: Item, distance: float) -> float:
    return distance * item.bytes / item.seconds


def _farthest(sequence: Sequence[Hashable], items: Items, budget: int, loss: Loss) -> Missed:
    missed, future = Missed(len(sequence)), _Future.of(sequence)
    held: set[Hashable] = set()
    used = 0
    for step, key in enumerate(sequence):
        future.steps[key].pop()
        if key in held:
            continue
        missed.miss(items[key])
        needed = used + items[key].bytes - budget
        if needed > 0:
            candidates = [(-loss(items[other], future.distance(other, step)), str(other), other) for other in held]
            heapq.heapify(candidates)
            while needed > 0:
                _, _, victim = heapq.heappop(candidates)
                held.discard(victim)
                used -= items[victim].bytes
                needed -= items[victim].bytes
        held.add(key)
        used += items[key].bytes
    return missed
