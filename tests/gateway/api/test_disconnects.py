import json
import socket

import pytest


def leave(gateway, caller, body, *, promise=0):
    """Send a request (or the part of it that is there), and close the connection without reading."""
    content = json.dumps(body).encode()
    head = (
        f"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {caller.key}\r\n"
        f"content-length: {len(content) + promise}\r\n\r\n"
    ).encode()
    host, port = gateway.url.removeprefix("http://").split(":")
    calls = gateway.engine.calls
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(head + content)
        if not promise:
            gateway.wait_until(lambda: gateway.engine.calls > calls)


@pytest.fixture
def limited(running):
    return running.caller(requests=10, tokens=1000)


def test_a_client_that_leaves_cancels_its_work_pays_nothing_and_the_next_is_served(gateway_under_test, limited):
    gateway = gateway_under_test
    cancelled = gateway.engine.cancelled
    leave(gateway, limited, {"model": "tests/mini", "input": "__sleep 15__"})
    gateway.wait_until(lambda: gateway.engine.cancelled == cancelled + 1)
    gateway.wait_until(lambda: gateway.usage(limited))
    (row,) = gateway.usage(limited)
    assert (row.status, row.tokens, row.inputs) == (499, 0, 1)
    reply = gateway.embed(limited, {"input": "x"})
    assert reply.status_code == 200
    assert reply.headers["x-ratelimit-remaining-requests"] == "9"
    assert reply.headers["x-ratelimit-remaining-tokens"] == "997"
    assert gateway.services.nodes.nodes[0].in_flight == 0


def test_a_client_that_leaves_amid_its_body_is_nobodys_business(gateway_under_test, limited):
    leave(gateway_under_test, limited, {"model": "tests/mini", "input": "x"}, promise=1000)
    reply = gateway_under_test.embed(limited, {"input": "x"})
    assert reply.headers["x-ratelimit-remaining-requests"] == "9"
    assert [row.status for row in gateway_under_test.usage(limited)] == [200]


def test_dozens_that_leave_lose_nothing_of_the_quota(gateway_under_test, limited):
    for _ in range(30):
        leave(gateway_under_test, limited, {"model": "tests/mini", "input": "__sleep 15__"})
        gateway_under_test.wait_until(lambda: gateway_under_test.services.nodes.nodes[0].in_flight == 0)
    gateway_under_test.wait_until(lambda: len(gateway_under_test.usage(limited)) == 30)
    assert {(row.status, row.tokens) for row in gateway_under_test.usage(limited)} == {(499, 0)}
    assert gateway_under_test.embed(limited, {"input": "x"}).headers["x-ratelimit-remaining-requests"] == "9"


def test_two_requests_on_one_connection_are_both_answered(gateway_under_test, caller):
    content = json.dumps({"model": "tests/mini", "input": "x"}).encode()
    request = (
        f"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {caller.key}\r\n"
        f"content-length: {len(content)}\r\n\r\n"
    ).encode() + content
    host, port = gateway_under_test.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request + request)
        received = b""
        while received.count(b"HTTP/1.1 200") < 2:
            piece = connection.recv(65536)
            assert piece, received
            received += piece
