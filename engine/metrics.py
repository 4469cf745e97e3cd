"""What a node counts, for Prometheus. One registry per node; gauges are read when scraped.

Every label value that can occur is there from the start, at 0, so that "none" can be told from "not known".
ARCHITECTURE.md lists all of them; a test compares that list with a node's page, and another makes each of them move.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from engine.memory.tiers import Move
from engine.protocol import Lane, NodeStatus, Tier
from engine.scheduling.speed import BatchRecord

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
LONG_SECONDS = (*SECONDS, 120, 300, 600)
TOKENS = tuple(2**power for power in range(3, 17))

SWAPS = ("disk_to_device", "host_to_device", "device_to_host", "device_to_disk", "host_to_disk")
"""Where models come from and go to; on disk they are in no memory at all."""
SOURCES = ("disk", "host")
MEMORY_STEPS = ("empty_caches", "evict_sibling", "halve", "fail")
"""What was done about a batch that did not fit, in the order in which it is tried."""


class EngineMetrics:
    """Counters and histograms of one node; `render` adds the gauges of its status."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = self._counter("requests", "Calls answered, by outcome.", "call", "code")
        self.request_seconds = self._histogram("request_seconds", "Time of a call.", SECONDS, "call")
        self.tokens = self._counter("tokens", "Tokens run through a model.", "lane")
        self.batch_tokens = self._histogram("batch_tokens", "Tokens of a batch.", TOKENS)
        self.batch_sequences = self._histogram("batch_sequences", "Sequences of a batch.", TOKENS)
        self.batch_seconds = self._histogram("batch_seconds", "Time of a forward pass.", SECONDS)
        self.tokenize_seconds = self._histogram("tokenize_seconds", "Time to make tokens of a request.", SECONDS)
        self.wait_seconds = self._histogram("wait_seconds", "Time for which a request waits to begin.", SECONDS, "lane")
        self.deadline_drops = self._counter("deadline_drops", "Requests that could not begin in time.", "lane")
        self.loads = self._counter("loads", "Models brought to the device, by outcome.", "outcome")
        self.load_seconds = self._histogram(
            "load_seconds", "Time to bring a model to the device, by where it was.", LONG_SECONDS, "source"
        )
        self.evictions = self._counter("evictions", "Models that left the device.")
        self.swaps = self._counter("swaps", "Models moved between disk, host and device memory.", "direction")
        self.memory_steps = self._counter("memory_steps", "What was done about batches that did not fit.", "step")
        for lane in get_args(Lane):
            self.tokens.labels(lane)
            self.wait_seconds.labels(lane)
            self.deadline_drops.labels(lane)
        for metric, values in (
            (self.loads, ("resident", "failed")),
            (self.load_seconds, SOURCES),
            (self.swaps, SWAPS),
            (self.memory_steps, MEMORY_STEPS),
        ):
            for value in values:
                metric.labels(value)

    def observe_batch(self, batch: BatchRecord) -> None:
        """Count a batch that ran."""
        self.tokens.labels(batch.lane).inc(batch.tokens)
        self.batch_tokens.observe(batch.tokens)
        self.batch_sequences.observe(batch.sequences)
        self.batch_seconds.observe(batch.seconds)

    def observe_move(self, move: Move) -> None:
        """Count a model that went from one memory to another."""
        self.swaps.labels(f"{move.source}_to_{move.target}").inc()
        if move.target == "device":
            self.load_seconds.labels(move.source).observe(move.seconds)

    def tell_build(self, version: str, device: str) -> None:
        """Which node this is."""
        documentation = "Always 1; which version this is, on which device."
        build = Gauge("shoal_engine_build_info", documentation, ("version", "device"), registry=self._registry)
        build.labels(version, device).set(1)

    def watch(
        self, status: Callable[[], NodeStatus], oldest: Callable[[], float], spans: Callable[[], Mapping[str, int]]
    ) -> None:
        """Read from a node's status, how long its oldest request has waited, and what became of spans of traces."""
        self._registry.register(_StatusGauges(status, oldest, spans))

    def render(self) -> bytes:
        """The exposition format."""
        return generate_latest(self._registry)

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(f"shoal_engine_{name}", documentation, labels, registry=self._registry)

    def _histogram(self, name: str, documentation: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"shoal_engine_{name}", documentation, labels, buckets=buckets, registry=self._registry)


class _StatusGauges(Collector):
    def __init__(
        self, status: Callable[[], NodeStatus], oldest: Callable[[], float], spans: Callable[[], Mapping[str, int]]
    ) -> None:
        self._status = status
        self._oldest = oldest
        self._spans = spans

    def collect(self) -> Iterator[Metric]:
        status = self._status()
        for name, documentation, value in (
            ("ready", "1 while the node takes requests.", status.ready),
            ("oldest_waiting_seconds", "Age of the oldest request that has not begun.", self._oldest()),
            ("waiting_requests", "Requests that are not finished.", status.waiting_requests),
            ("tokens_per_second", "Speed over the last batches.", status.tokens_per_second),
            ("memory_budget_bytes", "Bytes of device memory that models may take together.", status.memory_budget),
            ("memory_used_bytes", "Bytes of device memory that models take.", status.memory_used),
            ("host_budget_bytes", "Bytes of host memory for models that left the device.", status.host_budget),
            ("host_used_bytes", "Bytes of host memory that such models take.", status.host_used),
            (
                "fallback_models",
                "Models on the device that run, padded, in the library transformers.",
                sum(not model.native for model in status.models),
            ),
            ("models_pinned", "Models that are never evicted.", sum(model.pinned for model in status.models)),
            (
                "models_in_use",
                "Models that requests use or wait for.",
                sum(model.in_use > 0 for model in status.models),
            ),
        ):
            yield GaugeMetricFamily(f"shoal_engine_{name}", documentation, value=float(value))
        waiting = GaugeMetricFamily("shoal_engine_waiting_tokens", "Tokens that wait for the device.", labels=("lane",))
        waiting.add_metric(("interactive",), status.waiting_tokens - status.bulk_waiting_tokens)
        waiting.add_metric(("bulk",), status.bulk_waiting_tokens)
        yield waiting
        models = GaugeMetricFamily("shoal_engine_models", "Models, by where they are.", labels=("tier",))
        for tier in get_args(Tier):
            models.add_metric((tier,), sum(model.tier == tier for model in status.models))
        yield models
        spans = CounterMetricFamily(
            "shoal_engine_trace_spans", "Spans of traces, by what became of them.", labels=("outcome",)
        )
        for outcome, count in self._spans().items():
            spans.add_metric((outcome,), count)
        yield spans
