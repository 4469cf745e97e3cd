"""What several workers counted, as one page."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.parser import text_string_to_metric_families

from gateway.metric_families import enduring, families_of, page_of, total
from gateway.observability import GatewayMetrics


class Worker:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.answers = Counter("answers", "Answers.", ["status"], registry=self.registry)
        self.seconds = Histogram("took_seconds", "Time.", buckets=(0.1, 1.0), registry=self.registry)
        self.inflight = Gauge("inflight", "Now.", registry=self.registry)
        self.age = Gauge("policy_age_seconds", "Age.", registry=self.registry)
        self.up = Gauge("store_up", "Whether.", registry=self.registry)
        self.nodes = Gauge("pool_nodes", "Nodes.", ["pool"], registry=self.registry)


def values(families) -> dict[str, float]:
    return {
        f"{sample.name}{sorted(sample.labels.items()) or ''}": sample.value
        for family in text_string_to_metric_families(page_of(families).decode())
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def two_workers() -> tuple[Worker, Worker]:
    one, other = Worker(), Worker()
    one.answers.labels("200").inc(3)
    other.answers.labels("200").inc(4)
    other.answers.labels("429").inc()
    one.seconds.observe(0.05)
    other.seconds.observe(0.5)
    one.inflight.set(2)
    other.inflight.set(5)
    one.age.set(0.25)
    other.age.set(0.75)
    one.up.set(1)
    other.up.set(0)
    one.nodes.labels("default").set(4)
    other.nodes.labels("default").set(3)
    return one, other


def test_counters_and_histograms_add_and_gauges_by_what_they_are() -> None:
    found = values(total(families_of(worker.registry) for worker in two_workers()))
    assert found == {
        "answers_total[('status', '200')]": 7.0,
        "answers_total[('status', '429')]": 1.0,
        "took_seconds_bucket[('le', '0.1')]": 1.0,
        "took_seconds_bucket[('le', '1.0')]": 2.0,
        "took_seconds_bucket[('le', '+Inf')]": 2.0,
        "took_seconds_count": 2.0,
        "took_seconds_sum": 0.55,
        "inflight": 7.0,
        "policy_age_seconds": 0.75,
        "store_up": 0.0,
        "pool_nodes[('pool', 'default')]": 4.0,
    }


def test_a_worker_that_is_gone_leaves_what_it_counted_and_not_how_it_was() -> None:
    one, other = two_workers()
    found = values(total([families_of(one.registry), enduring(families_of(other.registry))]))
    assert found["answers_total[('status', '200')]"] == 7.0
    assert found["took_seconds_count"] == 2.0
    assert found["inflight"] == 2.0
    assert found["policy_age_seconds"] == 0.25


def test_the_page_of_one_worker_is_what_it_would_say_itself() -> None:
    metrics = GatewayMetrics({"default": ()})
    metrics.answered("/v1/embeddings", "m", 200, 0.01, 0.005, 7)
    assert page_of(total([families_of(metrics.registry)])) == metrics.render()
