"""What a node counts, for Prometheus. One registry per node; gauges are read when scraped."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from engine.protocol import NodeStatus
from engine.speed import BatchRecord

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
TOKENS = tuple(2**power for power in range(3, 17))


class EngineMetrics:
    """Counters and histograms of one node; `render` adds the gauges of its status."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "shoal_engine_requests", "Calls answered, by outcome.", ("call", "code"), registry=self._registry
        )
        self.request_seconds = Histogram(
            "shoal_engine_request_seconds", "Time of a call.", ("call",), buckets=SECONDS, registry=self._registry
        )
        self.tokens = Counter("shoal_engine_tokens", "Tokens run through a model.", registry=self._registry)
        self.batch_tokens = Histogram(
            "shoal_engine_batch_tokens", "Tokens of a batch.", buckets=TOKENS, registry=self._registry
        )
        self.batch_sequences = Histogram(
            "shoal_engine_batch_sequences", "Sequences of a batch.", buckets=TOKENS, registry=self._registry
        )
        self.batch_seconds = Histogram(
            "shoal_engine_batch_seconds", "Time of a forward pass.", buckets=SECONDS, registry=self._registry
        )
        self.loads = Counter("shoal_engine_loads", "Models loaded, by outcome.", ("outcome",), registry=self._registry)
        self.evictions = Counter("shoal_engine_evictions", "Models that left the memory.", registry=self._registry)

    def observe_batch(self, batch: BatchRecord) -> None:
        """Count a batch that ran."""
        self.tokens.inc(batch.tokens)
        self.batch_tokens.observe(batch.tokens)
        self.batch_sequences.observe(batch.sequences)
        self.batch_seconds.observe(batch.seconds)

    def watch(self, status: Callable[[], NodeStatus]) -> None:
        """Read the gauges from a node's status."""
        self._registry.register(_StatusGauges(status))

    def render(self) -> bytes:
        """The exposition format."""
        return generate_latest(self._registry)


class _StatusGauges(Collector):
    def __init__(self, status: Callable[[], NodeStatus]) -> None:
        self._status = status

    def collect(self) -> Iterator[GaugeMetricFamily]:
        status = self._status()
        resident = sum(model.state == "resident" for model in status.models)
        for name, documentation, value in (
            ("ready", "1 while the node takes requests.", status.ready),
            ("waiting_requests", "Requests that are not finished.", status.waiting_requests),
            ("waiting_tokens", "Tokens that wait for the device.", status.waiting_tokens),
            ("tokens_per_second", "Speed over the last batches.", status.tokens_per_second),
            ("memory_budget_bytes", "Bytes that models may take together.", status.memory_budget),
            ("memory_used_bytes", "Bytes that models take.", status.memory_used),
            ("models_resident", "Models in memory.", resident),
        ):
            yield GaugeMetricFamily(f"shoal_engine_{name}", documentation, value=float(value))
