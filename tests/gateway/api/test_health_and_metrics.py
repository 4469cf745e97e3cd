import pytest

from gateway.api.metrics import allow, is_local
from gateway.errors import AuthenticationFailed, RouteNotFound


def test_live_and_ready(gateway_under_test):
    assert gateway_under_test.request("GET", "/health/live").json() == {"status": "live"}
    ready = gateway_under_test.request("GET", "/health/ready")
    assert (ready.status_code, ready.json()["status"], ready.json()["policies"]) == (200, "ready", True)


def test_every_metric_that_is_promised_is_on_the_page(gateway_under_test, caller):
    gateway_under_test.embed(caller, {"input": "hello world"})
    gateway_under_test.embed(caller, {"input": []})
    gateway_under_test.embed(caller, {"model": "made-up-model", "input": "x"})
    reply = gateway_under_test.request("GET", "/metrics")
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/plain")
    for line in (
        'shoal_gateway_requests_total{endpoint="/v1/embeddings",model="tests/mini",status="200"}',
        'shoal_gateway_requests_total{endpoint="/v1/embeddings",model="",status="404"}',
        'shoal_gateway_tokens_total{endpoint="/v1/embeddings",model="tests/mini"}',
        'shoal_gateway_overhead_seconds_bucket{endpoint="/v1/embeddings",le="0.001"}',
        'shoal_gateway_upstream_seconds_bucket{endpoint="/v1/embeddings",le="0.01"}',
        'shoal_gateway_denied_total{kind="model"}',
        'shoal_gateway_denied_total{kind="requests"}',
        'shoal_gateway_denied_total{kind="tokens"}',
        'shoal_gateway_pool_nodes{pool="default",state="healthy"} 1.0',
        'shoal_gateway_pool_nodes{pool="default",state="away"} 0.0',
        'shoal_gateway_pool_inflight{pool="default"} 0.0',
        "shoal_gateway_inflight 1.0",
        "shoal_gateway_usage_waiting ",
        "shoal_gateway_usage_spool_bytes ",
        "shoal_gateway_usage_spool_oldest_seconds ",
        "shoal_gateway_policy_age_seconds ",
    ):
        assert line in reply.text, line
    assert "made-up-model" not in reply.text
    assert "tenant" not in reply.text.replace('kind="tenant"', "")


def test_unknown_paths_do_not_become_labels(gateway_under_test):
    gateway_under_test.request("GET", "/scan/me")
    page = gateway_under_test.request("GET", "/metrics").text
    assert "/scan/me" not in page
    assert 'endpoint="other",model="",status="404"' in page


@pytest.mark.parametrize(
    "header",
    [
        "x-forwarded-for", "forwarded", "x-real-ip", "via", "x-forwarded-host", "X-Forwarded-Proto", "x-forwarded-port",
        "x-forwarded-server", "true-client-ip", "cf-connecting-ip", "x-client-ip",
    ],
)  # fmt: skip
def test_a_proxied_request_sees_no_metrics(gateway_under_test, header):
    reply = gateway_under_test.request("GET", "/metrics", headers={header: "127.0.0.1"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "unknown_url")


@pytest.mark.parametrize(
    "host", ["shoal.example.org", "127.0.0.1.example.org", "localhost.example.org:80", "", "10.0.0.1"]
)
def test_a_page_whose_name_was_made_to_point_here_sees_no_metrics(gateway_under_test, host):
    assert gateway_under_test.request("GET", "/metrics", headers={"host": host}).status_code == 404


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9000", "127.0.0.1:80", "127.1.2.3", "[::1]", "[::1]:8080"])
def test_this_machine_sees_the_metrics_by_each_of_its_own_names(gateway_under_test, host):
    assert gateway_under_test.request("GET", "/metrics", headers={"host": host}).status_code == 200


def test_api_keys_do_not_open_the_metrics(gateway_under_test, caller):
    headers = {"x-forwarded-for": "10.0.0.1"}
    assert gateway_under_test.request("GET", "/metrics", caller, headers=headers).status_code == 404


@pytest.mark.parametrize(
    ("client", "local"),
    [(("127.0.0.1", 1), True), (("::1", 1), True), (("10.0.0.1", 1), False), (None, False), (("", 0), False)],
)
def test_which_peers_are_this_machine(client, local):
    assert is_local(client) == local


def test_a_metrics_key_is_asked_for_from_everybody():
    allow("right", {b"authorization": b"Bearer right"}, ("10.0.0.1", 1))
    for headers in ({}, {b"authorization": b"Bearer wrong"}):
        with pytest.raises(AuthenticationFailed):
            allow("right", headers, ("127.0.0.1", 1))


def test_without_a_metrics_key_strangers_find_no_such_page():
    with pytest.raises(RouteNotFound):
        allow(None, {}, ("10.0.0.1", 1))


def test_the_openapi_document_describes_bodies_replies_and_errors(gateway_under_test):
    document = gateway_under_test.request("GET", "/openapi.json").json()
    schemas = document["components"]["schemas"]
    for path, body, reply in (
        ("/v1/embeddings", "EmbeddingsBody", "Embeddings"),
        ("/v1/rerank", "RerankBody", "Ranking"),
    ):
        operation = document["paths"][path]["post"]
        assert operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith(f"/{body}")
        assert f"/{reply}" in str(operation["responses"]["200"]["content"]["application/json"]["schema"])
        assert "/ErrorBody" in str(operation["responses"]["429"]["content"]["application/json"]["schema"])
        assert {"retry-after", "x-ratelimit-remaining-tokens"} <= set(operation["responses"]["429"]["headers"])
    assert "encoding_format" in schemas["EmbeddingsBody"]["properties"]
    assert set(schemas["ErrorBody"]["properties"]) == {"error", "message", "detail"}
    assert "/v1/models/{id}" in document["paths"]
