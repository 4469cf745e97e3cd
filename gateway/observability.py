"""The gateway's metrics, in a registry of its own.

Labels come from the register and the route table, never from what a caller wrote: an unknown model is the empty label.
No tenant is named: the page may be read without a credential. Children are looked up once and kept; `labels()` is slow.
"""

from collections.abc import Iterable
from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

OVERHEAD_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0)
UPSTREAM_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)


class GatewayMetrics:
    """What a dashboard, an alert or an autoscaler may read."""

    def __init__(self, pools: Iterable[str]) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "shoal_gateway_requests",
            "Answers by route, model and status.",
            ["endpoint", "model", "status"],
            registry=self.registry,
        )
        self._tokens = Counter(
            "shoal_gateway_tokens", "Tokens that models processed.", ["endpoint", "model"], registry=self.registry
        )
        self._denied = Counter(
            "shoal_gateway_denied", "Requests refused, by kind of reason.", ["kind"], registry=self.registry
        )
        self._overhead = Histogram(
            "shoal_gateway_overhead_seconds",
            "Time in the gateway itself.",
            ["endpoint"],
            buckets=OVERHEAD_BUCKETS,
            registry=self.registry,
        )
        self._upstream = Histogram(
            "shoal_gateway_upstream_seconds",
            "Time spent waiting for nodes.",
            ["endpoint"],
            buckets=UPSTREAM_BUCKETS,
            registry=self.registry,
        )
        self.inflight = Gauge("shoal_gateway_inflight", "Requests that are being served.", registry=self.registry)
        self._pool_nodes = Gauge(
            "shoal_gateway_pool_nodes", "Nodes of a pool, by health.", ["pool", "state"], registry=self.registry
        )
        self._pool_inflight = Gauge(
            "shoal_gateway_pool_inflight", "Requests at the nodes of a pool.", ["pool"], registry=self.registry
        )
        self._usage_waiting = Gauge(
            "shoal_gateway_usage_waiting", "Usage records that the database does not have yet.", registry=self.registry
        )
        self._spool_bytes = Gauge("shoal_gateway_usage_spool_bytes", "Their size on disk.", registry=self.registry)
        self._spool_oldest = Gauge(
            "shoal_gateway_usage_spool_oldest_seconds", "Age of the oldest of them.", registry=self.registry
        )
        self._snapshot_age = Gauge(
            "shoal_gateway_policy_age_seconds",
            "Time since the policies were last seen to be current.",
            registry=self.registry,
        )
        self._quota_outages = Counter(
            "shoal_gateway_quota_outages",
            "Requests that were decided by rule, because the quota store was away.",
            ["decision"],
            registry=self.registry,
        )
        self._quota_store_up = Gauge(
            "shoal_gateway_quota_store_up",
            "1 while the quota store decides, 0 while it is away.",
            registry=self.registry,
        )
        self.set_quota_store(up=True)
        for decision in ("deny", "allow"):
            self._quota_outages.labels(decision)
        for kind in ("requests", "tokens", "concurrency", "insufficient_quota", "key", "tenant", "model"):
            self._denied.labels(kind)
        for pool in pools:
            self.set_pool(pool, healthy=0, away=0, in_flight=0)
        self._count = lru_cache(maxsize=4096)(self._requests.labels)
        self._spend = lru_cache(maxsize=4096)(self._tokens.labels)
        self._time = lru_cache(maxsize=64)(lambda route: (self._overhead.labels(route), self._upstream.labels(route)))

    def answered(self, endpoint: str, model: str, status: int, elapsed: float, upstream: float, tokens: int) -> None:
        """Count one answer; times in seconds."""
        self._count(endpoint, model, str(status)).inc()
        overhead, waiting = self._time(endpoint)
        overhead.observe(elapsed - upstream)
        if upstream:
            waiting.observe(upstream)
        if tokens:
            self._spend(endpoint, model).inc(tokens)

    def denied(self, kind: str) -> None:
        """Count a refusal: by quota as the error's type says, or `key`, `tenant`, `model`."""
        self._denied.labels(kind).inc()

    def quota_outage(self, decision: str) -> None:
        """Count a request that met no quota store: `deny` or `allow`."""
        self._quota_outages.labels(decision).inc()

    def set_quota_store(self, *, up: bool) -> None:
        """Whether the quota store answers."""
        self._quota_store_up.set(up)

    def set_pool(self, pool: str, *, healthy: int, away: int, in_flight: int) -> None:
        """How a pool stands now."""
        self._pool_nodes.labels(pool, "healthy").set(healthy)
        self._pool_nodes.labels(pool, "away").set(away)
        self._pool_inflight.labels(pool).set(in_flight)

    def set_backlog(self, *, usage_waiting: int, spool_bytes: int, spool_oldest: float, policy_age: float) -> None:
        """How far the background work is behind; ages in seconds."""
        self._usage_waiting.set(usage_waiting)
        self._spool_bytes.set(spool_bytes)
        self._spool_oldest.set(spool_oldest)
        self._snapshot_age.set(policy_age)

    def render(self) -> bytes:
        """The page in Prometheus' text format. Slow with many models: call it in a thread."""
        return generate_latest(self.registry)
