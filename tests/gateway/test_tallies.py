"""Our own counters and histograms look on a page as prometheus_client's do."""

import random
import re

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from gateway.tallies import Counts, Spreads

BOUNDS = (0.001, 0.5, 1.0, 2.5)


def page(registry: CollectorRegistry) -> bytes:
    """The moments of creation apart."""
    return re.sub(rb"(_created\S*) .*", rb"\1", generate_latest(registry))


def test_the_page_is_the_one_that_prometheus_client_would_make() -> None:
    theirs, ours = CollectorRegistry(), CollectorRegistry()
    answers = Counter("answers", "Answers.", ("route", "status"), registry=theirs)
    seconds = Histogram("seconds", "Time.", ("route",), buckets=BOUNDS, registry=theirs)
    counts = Counts("answers", "Answers.", ("route", "status"), ours)
    spreads = Spreads("seconds", "Time.", ("route",), ours, bounds=BOUNDS)
    assert page(ours) == page(theirs)
    draw = random.Random(5)
    for value in (*BOUNDS, 0.0, -1.0, 1e9, *(draw.expovariate(1) for _ in range(1000))):
        route = draw.choice(["/a", '/"quoted"\\', "/c\n"])
        answers.labels(route, "200").inc(3)
        counts.of(route, "200").value += 3
        seconds.labels(route).observe(value)
        spreads.of(route).observe(value)
    assert page(ours) == page(theirs)
    assert b'seconds_bucket{le="+Inf",route="/a"}' in page(ours)
