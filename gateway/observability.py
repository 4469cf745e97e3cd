"""The gateway's metrics, in a registry of its own; ARCHITECTURE.md lists all of them.

Labels come from the register and the route table, never from what a caller wrote: an unknown model is the empty label.
No tenant is named: the page may be read without a credential. Nor is a node: a gateway may know a thousand. Children
are looked up once and kept; `labels()` is slow. How names end says how several workers' numbers become one
(gateway/metric_families.py).
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

FAST = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0)
SLOW = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)

DENIALS = ("requests", "tokens", "concurrency", "insufficient_quota", "key", "tenant", "permission", "model")
NODE_STATES = ("healthy", "away", "open")
"""A node that is away does not answer, or says that it takes nothing; one whose circuit is open answers, and failed
too often."""
OUTCOMES = ("ok", "refused", "overloaded", "loading", "unavailable", "gone", "failed", "cancelled")
"""How a call of a node ends: as asked; the request was at fault; its queue is full; the model is on its way; no time
was left; it broke off, and the call was tried elsewhere if that was the first; it failed; the caller left."""

BATCH_STATUSES = ("validating", "in_progress", "finalizing", "cancelling")
BATCH_ENDS = ("completed", "failed", "expired", "cancelled")


class PoolState(NamedTuple):
    """How a pool stands now."""

    waiting: int = 0
    """Requests that wait for a node."""
    in_flight: int = 0
    """Requests at its nodes."""
    nodes: tuple[int, ...] = (0,) * len(NODE_STATES)
    """How many are in each of NODE_STATES."""
    status_age: float = 0.0
    """Seconds since the healthy node was heard of that was heard of least lately."""


class Backlog(NamedTuple):
    """How far the background work is behind; ages in seconds."""

    usage_waiting: int = 0
    spool_bytes: int = 0
    spool_limit: int = 0
    spool_oldest: float = 0.0
    policy_age: float = 0.0
    usage_failures: int = 0
    """Ever, like what follows."""
    policy_failures: int = 0
    spans_exported: int = 0
    spans_dropped: int = 0


class GatewayMetrics:
    """What a dashboard, an alert or an autoscaler may read. A pool's series are there from when it is known."""

    def __init__(self, pools: Iterable[str] = ()) -> None:
        self.registry = CollectorRegistry()
        self._requests = self._counter("requests", "Answers by route, model and status.", "endpoint", "model", "status")
        self._tokens = self._counter("tokens", "Tokens that models processed.", "endpoint", "model")
        self._denied = self._counter("denied", "Requests refused, by kind of reason.", "kind")
        self._request_seconds = self._histogram("request_seconds", "Time to an answer's first byte.", SLOW, "endpoint")
        self._overhead = self._histogram("overhead_seconds", "Time in the gateway itself.", FAST, "endpoint")
        self._upstream = self._histogram("upstream_seconds", "Time spent waiting for nodes.", SLOW, "endpoint")
        self.inflight = self._gauge("inflight", "Requests that are being served.")
        self._pool_demand = self._gauge("pool_demand", "Requests that wait for a node or are at one.", "pool")
        self._pool_waiting = self._gauge("pool_waiting", "Requests that wait for a node.", "pool")
        self._pool_inflight = self._gauge("pool_inflight", "Requests at nodes.", "pool")
        self._pool_nodes = self._gauge("pool_nodes", "Nodes of a pool, by state.", "pool", "state")
        self._status_age = self._gauge(
            "pool_status_age_seconds", "Age of the oldest status that requests are routed by.", "pool"
        )
        self._node_calls = self._counter("node_calls", "Calls of nodes, by outcome.", "pool", "outcome")
        self._node_retries = self._counter("node_retries", "Calls made again because a node broke off.", "pool")
        self._node_wait = self._histogram("node_wait_seconds", "Time for which a call waits for a node.", SLOW, "pool")
        self._usage_waiting = self._gauge("usage_waiting", "Usage records that the database does not have yet.")
        self._spool_bytes = self._gauge("usage_spool_bytes", "Their size on disk.")
        self._spool_limit = self._gauge("usage_spool_limit_bytes", "Size at which no more is taken.")
        self._spool_oldest = self._gauge("usage_spool_oldest_seconds", "Age of the oldest of them.")
        self._usage_failures = self._counter("usage_failures", "Tries to write usage that failed.")
        self._snapshot_age = self._gauge("policy_age_seconds", "Time since the policies were last seen to be current.")
        self._policy_failures = self._counter("policy_failures", "Looks at the policies that failed.")
        self._quota_outages = self._counter(
            "quota_outages", "Requests that were decided by rule, because the quota store was away.", "decision"
        )
        self._quota_store_up = self._gauge("quota_store_up", "1 while the quota store decides, 0 while it is away.")
        self._ready = self._gauge("ready", "1 while requests are welcome: /health/ready.")
        self._batches = self._gauge("batches", "Batches that have not ended, by status; of all gateways.", "status")
        self._batches_ended = self._counter("batches_ended", "Batches that this gateway brought to an end.", "status")
        self._batch_lines = self._counter("batch_lines", "Requests of batches that are done.", "outcome")
        self._trace_spans = self._counter("trace_spans", "Spans of traces, by what became of them.", "outcome")
        self._gauge("build_info", "Always 1; which version this is.", "version").labels(own_version()).set(1)
        self._start(pools)

    def _start(self, pools: Iterable[str]) -> None:
        """Every series that can be foreseen, at 0, so that "none" can be told from "not known"."""
        self.set_quota_store(up=True)
        for counter, values in (
            (self._quota_outages, ("deny", "allow")),
            (self._denied, DENIALS),
            (self._trace_spans, ("exported", "dropped")),
            (self._batches_ended, BATCH_ENDS),
            (self._batch_lines, ("completed", "failed")),
        ):
            for value in values:
                counter.labels(value)
        self.set_batches({})
        self._count = lru_cache(maxsize=4096)(self._requests.labels)
        self._spend = lru_cache(maxsize=4096)(self._tokens.labels)
        self._call = lru_cache(maxsize=1024)(self._node_calls.labels)
        self._wait = lru_cache(maxsize=256)(self._node_wait.labels)
        self._time = lru_cache(maxsize=64)(
            lambda route: tuple(each.labels(route) for each in (self._request_seconds, self._overhead, self._upstream))
        )
        self._before = Backlog()
        self._pools: set[str] = set()
        self.set_pools({name: PoolState() for name in pools})

    def answered(self, endpoint: str, model: str, status: int, elapsed: float, upstream: float, tokens: int) -> None:
        """Count one answer; times in seconds."""
        self._count(endpoint, model, str(status)).inc()
        whole, overhead, waiting = self._time(endpoint)
        whole.observe(elapsed)
        overhead.observe(elapsed - upstream)
        if upstream:
            waiting.observe(upstream)
        if tokens:
            self._spend(endpoint, model).inc(tokens)

    def denied(self, kind: str) -> None:
        """Count a refusal, by one of DENIALS."""
        self._denied.labels(kind).inc()

    def set_batches(self, counts: Mapping[str, int]) -> None:
        """How many batches of this database are in each of BATCH_STATUSES."""
        for status in BATCH_STATUSES:
            self._batches.labels(status).set(counts.get(status, 0))

    def batch_lines(self, *, completed: int, failed: int) -> None:
        """Count requests of batches whose results are written."""
        self._batch_lines.labels("completed").inc(completed)
        self._batch_lines.labels("failed").inc(failed)

    def batch_ended(self, status: str) -> None:
        """Count a batch by one of BATCH_ENDS."""
        self._batches_ended.labels(status).inc()

    def quota_outage(self, decision: str) -> None:
        """Count a request that met no quota store: `deny` or `allow`."""
        self._quota_outages.labels(decision).inc()

    def waited(self, pool: str, seconds: float) -> None:
        """Note how long a call waited until it had a node, or until it gave up."""
        self._wait(pool).observe(seconds)

    def node_called(self, pool: str, outcome: str) -> None:
        """Count a call of a node, by one of OUTCOMES."""
        self._call(pool, outcome).inc()

    def retried(self, pool: str) -> None:
        """Count a call that is made again."""
        self._node_retries.labels(pool).inc()

    def set_quota_store(self, *, up: bool) -> None:
        """Whether the quota store answers."""
        self._quota_store_up.set(up)

    def set_ready(self, *, ready: bool) -> None:
        """Whether requests are welcome."""
        self._ready.set(ready)

    def set_pools(self, pools: dict[str, PoolState]) -> None:
        """How every pool stands now; one that is not among them is known no more."""
        for gone in self._pools - pools.keys():
            for gauge in (self._pool_demand, self._pool_waiting, self._pool_inflight, self._status_age):
                gauge.remove(gone)
            for state in NODE_STATES:
                self._pool_nodes.remove(gone, state)
        for pool, now in pools.items():
            if pool not in self._pools:
                self._begin_pool(pool)
            self._pool_demand.labels(pool).set(now.waiting + now.in_flight)
            self._pool_waiting.labels(pool).set(now.waiting)
            self._pool_inflight.labels(pool).set(now.in_flight)
            self._status_age.labels(pool).set(now.status_age)
            for state, count in zip(NODE_STATES, now.nodes, strict=True):
                self._pool_nodes.labels(pool, state).set(count)
        self._pools = set(pools)

    def set_backlog(self, now: Backlog) -> None:
        """How far the background work is behind."""
        self._usage_waiting.set(now.usage_waiting)
        self._spool_bytes.set(now.spool_bytes)
        self._spool_limit.set(now.spool_limit)
        self._spool_oldest.set(now.spool_oldest)
        self._snapshot_age.set(now.policy_age)
        self._usage_failures.inc(now.usage_failures - self._before.usage_failures)
        self._policy_failures.inc(now.policy_failures - self._before.policy_failures)
        self._trace_spans.labels("exported").inc(now.spans_exported - self._before.spans_exported)
        self._trace_spans.labels("dropped").inc(now.spans_dropped - self._before.spans_dropped)
        self._before = now

    def render(self) -> bytes:
        """The page in Prometheus' text format. Slow with many models: call it in a thread."""
        return generate_latest(self.registry)

    def _begin_pool(self, pool: str) -> None:
        self._node_retries.labels(pool)
        self._node_wait.labels(pool)
        for outcome in OUTCOMES:
            self._node_calls.labels(pool, outcome)

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(f"shoal_gateway_{name}", documentation, labels, registry=self.registry)

    def _gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        return Gauge(f"shoal_gateway_{name}", documentation, labels, registry=self.registry)

    def _histogram(self, name: str, documentation: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"shoal_gateway_{name}", documentation, labels, buckets=buckets, registry=self.registry)


def own_version() -> str:
    """Of this program."""
    try:
        return version("shoal-server")
    except PackageNotFoundError:
        return "unreleased"
