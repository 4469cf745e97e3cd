"""Of which requests there is a line, and what it says."""

import pytest

from gateway.api.witness import SLOW, is_told, line
from gateway.call import Call


def call(status=200, endpoint="/v1/embeddings", slow=False, **headers):
    made = Call("req_1", {name.encode(): value.encode() for name, value in headers.items()}, endpoint)
    made.status = status
    made.started -= SLOW if slow else 0.0
    return made


@pytest.mark.parametrize(
    ("told", "was"),
    [
        ({"all"}, {"status": 200}),
        ({"all"}, {"status": 404}),
        ({"all"}, {"status": 429}),
        ({"all", "problems"}, {"status": 500}),
        ({"all", "problems"}, {"status": 503}),
        ({"all", "problems"}, {"status": 0}),
        ({"all", "problems"}, {"status": 200, "slow": True}),
        ({"all"}, {"status": 503, "endpoint": "/health/ready"}),
    ],
)
def test_problems_are_told_and_what_callers_do_wrong_is_not(told, was):
    made = call(**was)
    assert {rule for rule in ("none", "problems", "all") if is_told(rule, made)} == told


def test_what_is_not_known_is_left_out_and_no_header_is_repeated_that_is_not_sane():
    said = line(call(404, **{"x-client-request-id": "a b\n", "authorization": "Bearer sk-shoal-secret"}), "POST")
    assert said.keys() == {"method", "endpoint", "status", "seconds"}
    assert line(call(**{"x-client-request-id": "sdk-1"}), "GET")["client_request_id"] == "sdk-1"
