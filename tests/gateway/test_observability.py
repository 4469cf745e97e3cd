"""The gateway's metrics are those that are documented, named as Prometheus wants it, and there from the start."""

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from gateway.metric_families import families_of, page_of, total
from gateway.observability import (
    BATCH_ENDS,
    BATCH_STATUSES,
    DENIALS,
    NODE_STATES,
    OUTCOMES,
    Backlog,
    GatewayMetrics,
    PoolState,
)

ARCHITECTURE = Path(__file__).parents[2] / "ARCHITECTURE.md"
OF_A_CREW = {"shoal_gateway_workers", "shoal_gateway_worker_restarts_total"}


def series(page: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Value by name and labels; of a histogram its count alone."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
        if not sample.name.endswith(("_created", "_bucket", "_sum"))
    }


def names(page: bytes) -> set[str]:
    found = set(re.findall(r"^# TYPE (shoal_gateway_\w+)", page.decode(), re.MULTILINE))
    return {name for name in found if not name.endswith("_created")}


def test_the_documented_metrics_are_those_of_the_page() -> None:
    documented = set(re.findall(r"`(shoal_gateway_\w+)", ARCHITECTURE.read_text()))
    assert documented == names(GatewayMetrics(["default"]).render()) | OF_A_CREW


def test_labels_and_their_values_are_as_documented() -> None:
    table = ARCHITECTURE.read_text().split("### A gateway's metrics")[1]
    for values in (DENIALS, OUTCOMES, NODE_STATES, BATCH_STATUSES, BATCH_ENDS):
        assert f": {', '.join(values)} |" in table, values


def test_the_page_of_workers_has_the_names_of_the_page_of_one() -> None:
    workers = [GatewayMetrics(["default"]) for _ in range(3)]
    page = page_of(total(families_of(worker.registry) for worker in workers))
    assert names(page) == names(workers[0].render())
    assert series(page).keys() == series(workers[0].render()).keys()


def test_names_follow_prometheus_and_say_nothing_of_tenants_or_nodes() -> None:
    metrics = GatewayMetrics(["default"])
    for family in families_of(metrics.registry):
        assert re.fullmatch(r"shoal_gateway_[a-z]+(_[a-z]+)*", family.name)
        assert family.help.endswith(".")
        if family.kind == "histogram":
            assert family.name.endswith("_seconds")
        if family.kind == "gauge":
            assert not family.name.endswith(("_total", "_count", "_sum", "_bucket"))
        labels = {name for sample in family.samples for name, _ in sample.labels}
        assert labels <= {
            "endpoint",
            "model",
            "status",
            "kind",
            "pool",
            "state",
            "outcome",
            "decision",
            "version",
            "le",
        }


def test_a_configured_pool_reads_0_and_one_that_is_gone_is_not_there() -> None:
    metrics = GatewayMetrics(["gpu", "idle"])
    first = series(metrics.render())
    for name in ("demand", "waiting", "inflight"):
        assert first["shoal_gateway_pool_" + name, (("pool", "idle"),)] == 0.0
    metrics.set_pools({"gpu": PoolState(waiting=2, in_flight=3, nodes=(1, 0, 1), status_age=0.5), "new": PoolState()})
    page = series(metrics.render())
    assert page["shoal_gateway_pool_demand", (("pool", "gpu"),)] == 5.0
    assert page["shoal_gateway_pool_nodes", (("pool", "gpu"), ("state", "open"))] == 1.0
    assert page["shoal_gateway_pool_demand", (("pool", "new"),)] == 0.0
    assert ("shoal_gateway_pool_demand", (("pool", "idle"),)) not in page


def test_demand_adds_up_over_workers_and_nodes_do_not() -> None:
    workers = [GatewayMetrics(["gpu"]) for _ in range(3)]
    for worker in workers:
        worker.set_pools({"gpu": PoolState(waiting=1, in_flight=2, nodes=(4, 1, 0), status_age=0.25)})
        worker.set_backlog(Backlog(spool_bytes=10, spool_limit=100, policy_age=1.5))
        worker.set_ready(ready=worker is not workers[0])
    page = series(page_of(total(families_of(worker.registry) for worker in workers)))
    gpu = ("pool", "gpu")
    assert page["shoal_gateway_pool_demand", (gpu,)] == 9.0
    assert page["shoal_gateway_pool_nodes", (gpu, ("state", "healthy"))] == 4.0
    assert page["shoal_gateway_pool_status_age_seconds", (gpu,)] == 0.25
    assert page["shoal_gateway_usage_spool_bytes", ()] == 30.0
    assert page["shoal_gateway_usage_spool_limit_bytes", ()] == 100.0
    assert page["shoal_gateway_policy_age_seconds", ()] == 1.5
    assert page["shoal_gateway_ready", ()] == 0.0
    assert page["shoal_gateway_build_info", (("version", next(iter(versions(page)))),)] == 1.0


def versions(page) -> set[str]:
    return {dict(labels)["version"] for name, labels in page if name == "shoal_gateway_build_info"}


def test_every_series_moves_when_what_it_counts_happens() -> None:
    metrics = GatewayMetrics(["gpu"])
    first = series(metrics.render())
    metrics.answered("/v1/embeddings", "m", 200, 0.01, 0.005, 7)
    metrics.inflight.inc()
    for kind in DENIALS:
        metrics.denied(kind)
    for outcome in OUTCOMES:
        metrics.node_called("gpu", outcome)
    metrics.retried("gpu")
    metrics.waited("gpu", 0.1)
    for decision in ("deny", "allow"):
        metrics.quota_outage(decision)
    metrics.set_pools({"gpu": PoolState(1, 2, (1, 1, 1), 0.5)})
    metrics.set_backlog(Backlog(1, 2, 3, 4.0, 5.0, 6, 7, 8, 9))
    metrics.set_batches(dict.fromkeys(BATCH_STATUSES, 1))
    metrics.batch_lines(completed=1, failed=1)
    for status in BATCH_ENDS:
        metrics.batch_ended(status)
    metrics.set_ready(ready=True)
    last = series(metrics.render())
    still = {key for key, value in last.items() if not value}
    assert not still
    late = {name for name, _ in last.keys() - first.keys()}
    by_route = ("request_seconds_count", "overhead_seconds_count", "upstream_seconds_count")
    assert late == {f"shoal_gateway_{name}" for name in ("requests_total", "tokens_total", *by_route)}


def test_what_is_counted_elsewhere_is_counted_once() -> None:
    metrics = GatewayMetrics()
    for failures in (0, 2, 2, 5):
        metrics.set_backlog(Backlog(policy_failures=failures, spans_dropped=failures))
    page = series(metrics.render())
    assert page["shoal_gateway_policy_failures_total", ()] == 5.0
    assert page["shoal_gateway_trace_spans_total", (("outcome", "dropped"),)] == 5.0
