"""What a request leaves behind: a record that is durable before its answer leaves, or a count of its refusal."""

import pytest
from sqlmodel import select

from gateway.db.tables import UsageHour
from gateway.services.usage.spool import NoRoom


def hours(gateway, caller):
    async def read():
        await gateway.services.usage.flush()
        async with gateway.services.database.reading() as session:
            chosen = select(UsageHour).where(UsageHour.key_id == caller.key_id)
            return {(row.endpoint, row.model): row for row in (await session.scalars(chosen)).all()}

    return gateway.run(read())


def test_a_record_has_sizes_times_and_the_request_id(gateway_under_test, caller):
    reply = gateway_under_test.embed(caller, {"input": "__sleep 0.02__ swim"}, headers={"x-request-id": "mine-1"})
    [row] = gateway_under_test.usage(caller)
    assert (row.request_id, row.bytes_out) == ("mine-1", len(reply.content))
    assert row.bytes_in > 0
    assert 15 <= row.upstream_ms <= row.latency_ms
    assert row.tokens == reply.json()["usage"]["total_tokens"]


def test_what_is_refused_is_counted_by_key_model_and_route_and_not_billed(gateway_under_test, running):
    caller = running.caller(requests=1, deny=("tests/secret",))
    gateway_under_test.embed(caller, {"input": "x"})
    for body in ({"input": "x"}, {"model": "tests/secret", "input": "x"}, {"input": []}):
        assert gateway_under_test.embed(caller, body).status_code >= 400
    assert gateway_under_test.request("GET", "/v1/models/none", caller).status_code == 404
    assert gateway_under_test.request("GET", "/v1/models", caller).status_code == 200
    found = {
        place: (row.requests, row.refused, row.tokens > 0) for place, row in hours(gateway_under_test, caller).items()
    }
    embeddings = "/v1/embeddings"
    assert found.pop((embeddings, "tests/mini"))[:2] == (1, 2)
    assert found.pop((embeddings, "")) == (0, 1, False)
    [(requests, refused, paid)] = found.values()
    assert (requests, refused, paid) == (0, 1, False)
    assert len(gateway_under_test.usage(caller)) == 1


def test_a_request_that_failed_after_it_was_let_in_is_recorded_and_not_refused(gateway_under_test, caller):
    assert gateway_under_test.embed(caller, {"input": "__error inference_failed__"}).status_code == 500
    [row] = hours(gateway_under_test, caller).values()
    assert (row.requests, row.failed, row.refused, row.tokens) == (1, 1, 0, 0)


@pytest.fixture
def no_room(running, monkeypatch):
    """Appends fail from now on."""

    def refuse(payload):
        raise NoRoom

    monkeypatch.setattr(running.services.usage._spool, "append", refuse)


def test_an_answer_whose_usage_can_not_be_recorded_does_not_leave(gateway_under_test, caller, no_room, monkeypatch):
    reply = gateway_under_test.embed(caller, {"input": "x"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "usage_unavailable")
    assert "embedding" not in reply.text
    assert (reply.headers["retry-after"], reply.headers["content-length"]) == ("1", str(len(reply.content)))
    assert reply.headers["x-request-id"]
    monkeypatch.undo()
    assert gateway_under_test.usage(caller) == []
    assert gateway_under_test.embed(caller, {"input": "x"}).status_code == 200


def test_without_room_nothing_is_let_in_and_no_node_is_asked(gateway_under_test, caller, monkeypatch):
    calls = gateway_under_test.engine.calls
    with monkeypatch.context() as patch:
        patch.setattr(type(gateway_under_test.services.usage._spool), "has_room", False)
        reply = gateway_under_test.embed(caller, {"input": "x"})
        models = gateway_under_test.request("GET", "/v1/models", caller)
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
    assert reply.json()["error"]["code"] == "usage_unavailable"
    assert models.status_code == 200
    assert gateway_under_test.engine.calls == calls
    assert gateway_under_test.embed(caller, {"input": "x"}).status_code == 200
