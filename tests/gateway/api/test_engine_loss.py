"""A node that breaks off: every caller gets an answer, or an error that it may retry."""


def test_a_connection_that_breaks_is_a_retryable_503_and_the_next_request_is_served(gateway_under_test, caller):
    calls = gateway_under_test.engine.calls
    reply = gateway_under_test.embed(caller, {"input": "__crash__"})
    assert reply.status_code == 503
    assert reply.json()["error"]["code"] == "no_engine_node"
    assert int(reply.headers["retry-after"]) >= 1
    assert int(reply.headers["retry-after-ms"]) >= 1000
    assert gateway_under_test.engine.calls - calls >= 2
    assert gateway_under_test.embed(caller, {"input": "x"}).status_code == 200
    assert [(row.status, row.tokens) for row in gateway_under_test.usage(caller)] == [(503, 0), (200, 3)]


def test_a_draining_node_gets_no_requests_and_the_gateway_says_so_and_stays(gateway_under_test, caller):
    def report():
        return gateway_under_test.request("GET", "/health/ready").json()

    gateway_under_test.engine.ready = False
    gateway_under_test.wait_until(lambda: report()["reasons"] == ["No node of the pool 'default' is healthy."])
    assert report()["status"] == "ready"
    calls = gateway_under_test.engine.calls
    reply = gateway_under_test.embed(caller, {"input": "x"})
    assert reply.status_code == 503
    assert gateway_under_test.engine.calls == calls
    gateway_under_test.engine.ready = True
    assert gateway_under_test.embed(caller, {"input": "x"}).status_code == 200
    assert gateway_under_test.request("GET", "/health/ready").json()["pools"] == {"default": {"nodes": 1, "healthy": 1}}
