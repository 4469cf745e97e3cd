"""Whatever goes wrong, on whichever wire: status, the body in the wire's own shape, the headers that clients need.

Shapes: OpenAI's envelope with Cohere's `message` and Jina's and Voyage's `detail` beside it; the two texts of
text-embeddings-inference on its own paths and where a ranking has `texts`, and Weaviate's where it has `property`.
"""

import json

import pytest

from gateway.services.register import keys, tenants

TEXT = {
    "/v1/embeddings": ("openai", lambda text: {"input": text}),
    "/openai/deployments/tests/mini/embeddings": ("openai", lambda text: {"input": text}),
    "/infinity/embeddings": ("openai", lambda text: {"input": [text]}),
    "/v1/embed": ("openai", lambda text: {"texts": [text]}),
    "/v2/embed": ("openai", lambda text: {"texts": [text], "embedding_types": ["float"]}),
    "/v1/rerank": ("openai", lambda text: {"query": "q", "documents": [text]}),
    "/v2/rerank": ("openai", lambda text: {"query": "q", "documents": [{"text": text}]}),
    "/infinity/rerank": ("openai", lambda text: {"query": "q", "documents": [text]}),
    "/rerank": ("tei", lambda text: {"query": "q", "texts": [text]}),
    "/rerank?property": ("tei", lambda text: {"query": "q", "documents": [text], "property": ""}),
    "/v1/classify": ("openai", lambda text: {"input": [text]}),
    "/v1/extract": ("openai", lambda text: {"input": [text]}),
    "/embed": ("tei", lambda text: {"inputs": text}),
    "/embed_sparse": ("tei", lambda text: {"inputs": [text]}),
    "/embed_all": ("tei", lambda text: {"inputs": [text]}),
    "/tokenize": ("tei", lambda text: {"inputs": [text]}),
    "/predict": ("tei", lambda text: {"inputs": text}),
    "/": ("tei", lambda text: {"inputs": text}),
    "/?texts": ("openai", lambda text: {"texts": [text]}),
}
"""Of every family of paths its shape of errors, and a body about a text that steers the node."""
BEFORE_THE_BODY = {"/rerank": "openai", "/rerank?property": "openai", "/?texts": "tei"}
"""The shape of errors where the path says less than the body would have."""
UNNAMED = ("/openai/deployments/tests/mini/embeddings",)
"""Where the body names no model that counts."""
TEI_TYPES = {429: "Overloaded", 503: "Overloaded", 500: "Backend"}
WAIT = "and when to come again"
NEVER = "and that it would be the same again"
ENGINE = {
    "queue_full": (429, "server_error", "engine_overloaded", WAIT),
    "inference_failed": (500, "server_error", None, None),
    "model_invalid": (500, "server_error", "model_unusable", NEVER),
    "model_loading": (503, "server_error", "model_loading", WAIT),
    "deadline_passed": (503, "server_error", "deadline_passed", WAIT),
    "task_unsupported": (400, "invalid_request_error", "task_unsupported", None),
}


def check(reply, status, shape, kind, code, *, advice=None):
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-request-id"]
    body = reply.json()
    if shape == "tei":
        assert set(body) == {"error", "error_type"}
        assert body["error_type"] == TEI_TYPES.get(status, "Validation")
        message = body["error"]
    else:
        assert set(body) == {"error", "message", "detail"}
        assert set(body["error"]) == {"message", "type", "param", "code"}
        assert (body["error"]["type"], body["error"]["code"]) == (kind, code)
        message = body["error"]["message"]
        assert body["message"] == body["detail"] == message
    assert isinstance(message, str)
    assert message
    if status != 429:
        assert "rate limit" not in message.lower(), "LiteLLM would take it for one"
    waits = advice == WAIT
    assert ("retry-after" in reply.headers) == ("retry-after-ms" in reply.headers) == waits
    if waits:
        assert 1 <= int(reply.headers["retry-after"]) <= 60
        assert 1 <= int(reply.headers["retry-after-ms"]) <= 60_000
    assert reply.headers.get("x-should-retry") == ("false" if advice == NEVER else None)
    return message


def send(gateway, family, text="x", caller=None, *, model="tests/mini", **options):
    path = family.partition("?")[0]
    return gateway.post(path, caller, json={**TEXT[family][1](text), "model": model}, **options)


@pytest.mark.parametrize("family", TEXT)
def test_the_wire_works(gateway_under_test, caller, family):
    reply = send(gateway_under_test, family, caller=caller)
    assert reply.status_code == 200, reply.text
    assert reply.headers["x-ratelimit-limit-requests"]


@pytest.mark.parametrize("code", ENGINE)
@pytest.mark.parametrize("family", TEXT)
def test_what_a_node_says(gateway_under_test, caller, family, code):
    status, kind, wire_code, advice = ENGINE[code]
    reply = send(gateway_under_test, family, f"__error {code}__", caller)
    check(reply, status, TEXT[family][0], kind, wire_code, advice=advice)
    assert reply.headers["x-ratelimit-remaining-tokens"]


@pytest.mark.parametrize("family", TEXT)
def test_no_key_and_a_wrong_one(gateway_under_test, family):
    shape = BEFORE_THE_BODY.get(family, TEXT[family][0])
    for headers, code, phrase in (
        ({}, None, "You didn't provide an API key."),
        ({"authorization": "Bearer sk-nobodys-key-of-some-length"}, "invalid_api_key", "Incorrect API key provided: "),
    ):
        reply = send(gateway_under_test, family, headers=headers)
        message = check(reply, 401, shape, "invalid_request_error", code)
        assert message.startswith(phrase)
        assert "nobodys" not in reply.text
        assert reply.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("family", TEXT)
def test_a_suspended_tenant_and_a_key_without_the_scope(gateway_under_test, family):
    shape = BEFORE_THE_BODY.get(family, TEXT[family][0])
    caller = gateway_under_test.caller()
    narrow = gateway_under_test.change(keys.create_key, caller.tenant, scopes=["models"])
    reply = send(gateway_under_test, family, headers={"api-key": narrow.key})
    check(reply, 403, shape, "permission_error", "missing_scope")
    gateway_under_test.change(tenants.suspend_tenant, caller.tenant)
    check(send(gateway_under_test, family, caller=caller), 403, shape, "permission_error", "tenant_suspended")


@pytest.mark.parametrize("family", TEXT)
def test_a_model_that_there_is_not(gateway_under_test, caller, family):
    if family in UNNAMED:
        path = family.replace("tests/mini", "no%2Fmodel")
        reply = gateway_under_test.post(path, caller, json={"input": "x", "model": "tests/mini"})
    else:
        reply = send(gateway_under_test, family, caller=caller, model="no/model")
    message = check(reply, 404, TEXT[family][0], "invalid_request_error", "model_not_found")
    assert message.startswith("The model `no/model` does not exist or you do not have access to it.")


@pytest.mark.parametrize("family", TEXT)
def test_a_body_that_is_no_json_and_one_that_is_too_large(gateway_under_test, caller, family):
    shape = BEFORE_THE_BODY.get(family, TEXT[family][0])
    path = family.partition("?")[0]
    broken = gateway_under_test.post(path, caller, content=b"{")
    message = check(broken, 400, shape, "invalid_request_error", None)
    assert message.startswith("We could not parse the JSON body of your request.")
    large = gateway_under_test.post(path, caller, content=b" " * 1_000_001)
    check(large, 413, shape, "request_too_large", "request_too_large")


@pytest.mark.parametrize("family", TEXT)
def test_a_wrong_method(gateway_under_test, caller, family):
    path = family.partition("?")[0]
    reply = gateway_under_test.request("PUT", path, caller)
    check(reply, 405, BEFORE_THE_BODY.get(family, TEXT[family][0]), "invalid_request_error", "method_not_allowed")
    assert "POST" in reply.headers["allow"]


@pytest.mark.parametrize("family", [family for family in TEXT if family != "/tokenize"])
def test_limits_that_are_reached(gateway_under_test, family):
    shape = TEXT[family][0]
    caller = gateway_under_test.caller(requests=1)
    assert send(gateway_under_test, family, caller=caller).status_code == 200
    reply = send(gateway_under_test, family, caller=caller)
    message = check(reply, 429, shape, "requests", "rate_limit_exceeded", advice=WAIT)
    assert message.startswith("Rate limit reached for tests/mini in organization ")
    assert reply.headers["x-ratelimit-remaining-requests"] == "0"
    poor = gateway_under_test.caller(tokens_per_month=40)
    replies = (send(gateway_under_test, family, caller=poor) for _ in range(30))
    reply = next(reply for reply in replies if reply.status_code != 200)
    message = check(reply, 429, shape, "insufficient_quota", "insufficient_quota", advice=NEVER)
    assert message.startswith("You exceeded your current quota, please check your plan and billing details")
    small = gateway_under_test.caller(tokens=2)
    message = check(
        send(gateway_under_test, family, "long " * 20, small),
        400,
        shape,
        "max_tokens_per_request",
        "max_tokens_per_request",
        advice=NEVER,
    )
    assert message.startswith("Requested ")


NO_CUT = {
    "/v1/embeddings": {"truncate": False},
    "/v1/embed": {"truncate": "NONE"},
    "/v2/embed": {"truncate": "NONE"},
    "/embed": {"truncate": False},
    "/embed_sparse": {"truncate": False},
    "/embed_all": {"truncate": False},
    "/": {"truncate": False},
    "/?texts": {"truncate": "NONE"},
}


@pytest.mark.parametrize("family", NO_CUT)
def test_an_input_that_is_too_long_says_so_in_the_words_that_clients_look_for(gateway_under_test, caller, family):
    body = {**TEXT[family][1]("long " * 600), "model": "tests/mini", **NO_CUT[family]}
    reply = gateway_under_test.post(family.partition("?")[0], caller, json=body)
    message = check(reply, 400, TEXT[family][0], "invalid_request_error", "context_length_exceeded")
    assert message.startswith("This model's maximum context length is 512 tokens, however you requested 602 tokens ")
    assert "Please reduce your prompt; or completion length." in message


@pytest.mark.parametrize(
    "path", ["/v1/foo", "/v1", "/v1/inference/m", "/embed/more", "/openai/deployments/m/foo", "/v3/embed"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_path_that_there_is_not(gateway_under_test, caller, method, path):
    reply = gateway_under_test.request(method, path, caller)
    message = check(reply, 404, "openai", "invalid_request_error", "unknown_url")
    assert message == f"Invalid URL ({method} {path})"


@pytest.mark.parametrize("family", TEXT)
def test_any_content_type_none_and_slashes_too_many(gateway_under_test, caller, family):
    path = family.partition("?")[0]
    content = json.dumps({**TEXT[family][1]("x"), "model": "tests/mini"})
    for headers in ({}, {"content-type": "text/plain"}, {"content-type": "application/x-www-form-urlencoded"}):
        reply = gateway_under_test.post(path, caller, content=content, headers=headers)
        assert (reply.status_code, reply.headers["content-type"]) == (200, "application/json")
    for spelling in (f"{path}/", f"/{path}", path.replace("/", "//")):
        assert gateway_under_test.post(spelling, caller, content=content).status_code == 200, spelling


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/tests%2Fmini", "/info", "/health/live", "/openapi.json"])
def test_what_can_be_got_has_a_head(gateway_under_test, caller, path):
    whole = gateway_under_test.request("GET", path, caller)
    head = gateway_under_test.request("HEAD", path, caller)
    assert (head.status_code, head.content) == (200, b"")
    own = {"x-request-id", "openai-processing-ms", "date"}
    assert {n: v for n, v in head.headers.items() if n not in own} == {
        n: v for n, v in whole.headers.items() if n not in own
    }
    assert gateway_under_test.request("HEAD", "/v1/models").status_code == 401


def test_options_says_which_methods_there_are(gateway_under_test, caller):
    reply = gateway_under_test.request("OPTIONS", "/v1/embeddings", caller)
    assert (reply.status_code, reply.content) == (204, b"")
    assert set(reply.headers["allow"].split(", ")) == {"OPTIONS", "POST"}
