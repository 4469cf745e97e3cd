"""What a caller says of its haste reaches the node, and the books: flow, lane, and how long it still waits."""

import msgspec
import pytest

from engine.protocol import EmbedRequest, RerankRequest
from gateway.services.register import tenants


@pytest.fixture
def seen(gateway_under_test, monkeypatch):
    """What the node was asked, decoded."""
    requests = []
    engine = gateway_under_test.engine
    answer = engine.answer

    def listen(path, authorization, body):
        if path in (b"/embed", b"/rerank"):
            requests.append(msgspec.msgpack.decode(body, type=EmbedRequest if path == b"/embed" else RerankRequest))
        return answer(path, authorization, body)

    monkeypatch.setattr(engine, "answer", listen)
    return requests


def ask(gateway, caller, route, **headers):
    body = {"input": "x"} if route == "/v1/embeddings" else {"query": "q", "documents": ["d"]}
    return gateway.post(route, caller, json={"model": gateway.model, **body}, headers=headers)


ROUTES = ["/v1/embeddings", "/v1/rerank"]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(("said", "lane"), [({}, "interactive"), ({"x-shoal-lane": "bulk"}, "bulk")])
def test_the_lane_is_the_callers_choice_and_the_flow_its_tenant(gateway_under_test, seen, route, said, lane):
    one, other = gateway_under_test.caller(), gateway_under_test.caller()
    for caller in (one, other):
        assert ask(gateway_under_test, caller, route, **said).status_code == 200
    assert [request.lane for request in seen] == [lane, lane]
    assert len({request.flow for request in seen}) == 2
    assert [row.lane for row in gateway_under_test.usage(one)] == [lane]


def test_an_unknown_lane_is_refused_before_anything_is_spent(gateway_under_test, caller, seen):
    reply = ask(gateway_under_test, caller, "/v1/embeddings", **{"x-shoal-lane": "express"})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "x-shoal-lane")
    assert "'express'" in reply.json()["message"]
    assert seen == []


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ({}, 15, 20),  # the gateway's own limit
        ({"x-stainless-read-timeout": "5"}, 4, 5),
        ({"x-stainless-timeout": "7"}, 6, 7),
        ({"x-stainless-read-timeout": "600"}, 15, 20),
        ({"x-stainless-read-timeout": "never"}, 15, 20),
        ({"x-stainless-read-timeout": "nan"}, 15, 20),
        ({"x-stainless-read-timeout": "-1"}, 15, 20),
    ],
)
def test_the_node_knows_for_how_long_the_caller_waits(gateway_under_test, caller, seen, route, headers, least, most):
    assert ask(gateway_under_test, caller, route, **headers).status_code == 200
    assert least < seen[0].patience < most


def test_a_caller_who_hangs_up_by_its_own_account_is_not_waited_for(gateway_under_test, caller):
    reply = gateway_under_test.embed(caller, {"input": "__sleep 5__"}, headers={"x-stainless-read-timeout": "0.3"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "engine_timeout")


@pytest.mark.parametrize("route", ROUTES)
def test_a_tenant_of_the_bulk_lane_waits_there_and_can_not_choose_another(gateway_under_test, seen, route):
    caller = gateway_under_test.caller()
    gateway_under_test.change(tenants.update_tenant, caller.tenant, lane="bulk", weight=0.5)
    for said in ({}, {"x-shoal-lane": "bulk"}):
        assert ask(gateway_under_test, caller, route, **said).status_code == 200
    assert [(request.lane, request.weight) for request in seen] == [("bulk", 0.5)] * 2
    refused = ask(gateway_under_test, caller, route, **{"x-shoal-lane": "interactive"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "lane_not_allowed")
    assert len(seen) == 2
    assert {row.lane for row in gateway_under_test.usage(caller)} == {"bulk"}


@pytest.mark.parametrize("route", ROUTES)
def test_the_weight_of_a_tenant_reaches_the_node(gateway_under_test, seen, route):
    caller = gateway_under_test.caller()
    gateway_under_test.change(tenants.update_tenant, caller.tenant, weight=7)
    assert ask(gateway_under_test, caller, route).status_code == 200
    assert [(request.lane, request.weight) for request in seen] == [("interactive", 7.0)]
