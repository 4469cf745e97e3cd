"""Counters and histograms that every request moves: on a page as prometheus_client's own, at a fifth of their cost.

Nothing is locked, since one thread counts. A page may be made in another meanwhile: what it shows is then a moment's
work apart, as it is with theirs.
"""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from math import inf
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class Count:
    """A number that grows."""

    __slots__ = ("created", "value")

    def __init__(self) -> None:
        self.value = 0
        self.created = time.time()


class Spread:
    """How values lie among buckets, each up to its bound and with it, and their sum."""

    __slots__ = ("_bounds", "counts", "created", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0
        self.created = time.time()

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.sum += value


Kept = TypeVar("Kept", Count, Spread)


class _Family(Collector, Generic[Kept]):
    """What is counted under one name, by the values of its labels."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str], begin: Callable[[], Kept]) -> None:
        self._name, self._documentation, self._labels = name, documentation, labels
        self._begin: Callable[[], Kept] = begin
        self._kept: dict[tuple[str, ...], Kept] = {}

    def of(self, *values: str) -> Kept:
        """What is kept under these values, from now on if it was not."""
        kept = self._kept.get(values)
        if kept is None:
            kept = self._kept[values] = self._begin()
        return kept

    def _all(self) -> Iterable[tuple[Mapping[str, str], Kept]]:
        for values, kept in tuple(self._kept.items()):
            yield dict(zip(self._labels, values, strict=True)), kept


class Counts(_Family[Count]):
    """A counter."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str], registry: CollectorRegistry) -> None:
        super().__init__(name, documentation, labels, Count)
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        """For the page."""
        family = CounterMetricFamily(self._name, self._documentation, labels=self._labels)
        for labels, count in self._all():
            family.add_metric(tuple(labels.values()), count.value, created=count.created)
        yield family


class Spreads(_Family[Spread]):
    """A histogram."""

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str],
        registry: CollectorRegistry,
        *,
        bounds: Sequence[float],
    ) -> None:
        super().__init__(name, documentation, labels, lambda: Spread(bounds))
        self._marks = [floatToGoString(bound) for bound in (*bounds, inf)]  # type: ignore[no-untyped-call]
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        """For the page."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._labels)
        for labels, spread in self._all():
            reached = accumulate(spread.counts)
            family.add_metric(tuple(labels.values()), list(zip(self._marks, reached, strict=True)), spread.sum)
            family.add_sample(f"{self._name}_created", dict(labels), spread.created)
        yield family
