"""How calls of nodes end is counted, and how long they wait; retries too."""

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from policies.health import Health

COUNTED = (
    "shoal_gateway_node_calls_total",
    "shoal_gateway_node_retries_total",
    "shoal_gateway_node_wait_seconds_count",
)


def counted(gateway):
    """Of the pool, by outcome or name."""
    return {
        sample.labels.get("outcome", sample.name.removeprefix("shoal_gateway_")): sample.value
        for family in text_string_to_metric_families(gateway.request("GET", "/metrics").text)
        for sample in family.samples
        if sample.name in COUNTED and sample.labels["pool"] == "default"
    }


def moved(gateway, work):
    before = counted(gateway)
    work()
    return {name: value - before[name] for name, value in counted(gateway).items() if value != before[name]}


WAITS = "node_wait_seconds_count"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hello", {"ok": 1, WAITS: 1}),
        ("__error queue_full__", {"overloaded": 1, WAITS: 1}),
        ("__error model_loading__", {"loading": 1, WAITS: 1}),
        ("__error inference_failed__", {"failed": 1, WAITS: 1}),
        ("__error bad_request__", {"refused": 1, WAITS: 1}),
    ],
)
def test_how_a_call_ends(gateway_under_test, caller, text, expected):
    assert moved(gateway_under_test, lambda: gateway_under_test.embed(caller, {"input": text})) == expected


def test_a_call_that_breaks_off_is_made_again_and_both_are_counted(gateway_under_test, caller):
    (node,) = gateway_under_test.services.nodes.pools["default"]
    node.health = Health(well=True)  # earlier falls are held against it: it would be back after this request's patience
    found = moved(gateway_under_test, lambda: gateway_under_test.embed(caller, {"input": "__crash__"}))
    assert found == {"gone": 2, "node_retries_total": 1, WAITS: 2}
    gateway_under_test.wait_until(lambda: gateway_under_test.embed(caller, {"input": "x"}).status_code == 200)


def test_who_leaves_is_counted(gateway_under_test, caller):
    def leave():
        body = {"model": gateway_under_test.model, "input": "__sleep 5__"}
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{gateway_under_test.url}/v1/embeddings", json=body, headers=caller.headers, timeout=0.3)
        gateway_under_test.wait_until(lambda: not gateway_under_test.services.nodes.pools["default"].in_flight)

    assert moved(gateway_under_test, leave) == {"cancelled": 1, WAITS: 1}
