"""Metrics as plain values that travel between processes and add up: several workers of one server read as one.

Counters, histograms and summaries add. So do gauges, for most of them count things that each worker has of its own; a
gauge of something that all workers look at, or of an age, is the greatest of theirs, and one of something being up the
least: what one of them lacks, callers lack.
"""

from collections.abc import Iterable, Sequence

import msgspec
from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

GREATEST = ("_seconds", "_nodes", "_batches", "_limit_bytes", "_info")
"""How a gauge's name ends of which the greatest counts."""
LEAST = ("_up", "_ready")
"""The same, of which the least counts."""
ENDURING = ("counter", "histogram", "summary")
"""Kinds whose numbers stay true when the process that counted them is gone."""


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """One number."""

    name: str
    labels: tuple[tuple[str, str], ...]
    value: float


class Family(msgspec.Struct, frozen=True, array_like=True):
    """One metric with all its samples."""

    name: str
    kind: str
    help: str
    samples: tuple[Sample, ...]


def families_of(collector: Collector) -> list[Family]:
    """What a registry holds now."""
    return [
        Family(
            metric.name,
            metric.type,
            metric.documentation,
            tuple(Sample(sample.name, tuple(sample.labels.items()), sample.value) for sample in metric.samples),
        )
        for metric in collector.collect()
    ]


def total(parts: Iterable[Sequence[Family]]) -> list[Family]:
    """The families of several processes as those of one, in the order in which they first come."""
    met: dict[str, Family] = {}
    values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for family in (family for part in parts for family in part):
        met.setdefault(family.name, family)
        sums = values.setdefault(family.name, {})
        for sample in family.samples:
            key = (sample.name, sample.labels)
            sums[key] = _together(family, sample, sums[key]) if key in sums else sample.value
    return [
        Family(name, family.kind, family.help, tuple(Sample(*key, value) for key, value in values[name].items()))
        for name, family in met.items()
    ]


def _together(family: Family, sample: Sample, value: float) -> float:
    if sample.name.endswith("_created"):  # since when it was counted
        return min(value, sample.value)
    if family.kind == "gauge" and family.name.endswith(GREATEST):
        return max(value, sample.value)
    if family.kind == "gauge" and family.name.endswith(LEAST):
        return min(value, sample.value)
    return value + sample.value


def enduring(families: Iterable[Family]) -> list[Family]:
    """Those that still count when their process has ended."""
    return [family for family in families if family.kind in ENDURING]


def page_of(families: Iterable[Family]) -> bytes:
    """The page in Prometheus' text format."""
    return generate_latest(_Kept(families))


class _Kept(Collector):
    def __init__(self, families: Iterable[Family]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        for family in self._families:
            metric = Metric(family.name, family.help, family.kind)
            for sample in family.samples:
                metric.add_sample(sample.name, dict(sample.labels), sample.value)
            yield metric
