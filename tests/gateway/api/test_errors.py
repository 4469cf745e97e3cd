"""Every answer that is not the one asked for: status, text and shape, by table."""

import json

import pytest

MINI = "tests/mini"
REFERENCE = "Please check the API reference: https://platform.openai.com/docs/api-reference."


def assert_shape(reply, status):
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-request-id"].startswith("req_")
    assert int(reply.headers["openai-processing-ms"]) >= 0
    body = reply.json()
    assert set(body) == {"error", "message", "detail"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert body["message"] == body["detail"] == body["error"]["message"]
    return body["error"]


BAD_BODIES = {
    "no input": ({}, "Missing required parameter: 'input'.", "input", "missing_required_parameter"),
    "null input": ({"input": None}, "Missing required parameter: 'input'.", "input", "missing_required_parameter"),
    "empty list": ({"input": []}, f"'$.input' is invalid. {REFERENCE}", "input", None),
    "number": ({"input": 5}, f"'$.input' is invalid. {REFERENCE}", "input", None),
    "object": ({"input": {"a": 1}}, f"'$.input' is invalid. {REFERENCE}", "input", None),
    "list with null": ({"input": [None]}, f"'$.input[0]' is invalid. {REFERENCE}", "input", None),
    "mixed list": ({"input": ["a", 1]}, f"'$.input' is invalid. {REFERENCE}", "input", None),
    "mixed arrays": ({"input": [[1], "a"]}, f"'$.input' is invalid. {REFERENCE}", "input", None),
    "float ids": ({"input": [[1.5]]}, f"'$.input[0][0]' is invalid. {REFERENCE}", "input", None),
    "token id too high": ({"input": [[1, 100277]]}, "Invalid 'input[0]': 100277 is not", "input", "invalid_token"),
    "token id unassigned": ({"input": [100256]}, "Invalid 'input[0]': 100256 is not", "input", "invalid_token"),
    "token id negative": ({"input": [[5], [-1]]}, "Invalid 'input[1]': -1 is not", "input", "invalid_token"),
    "token id huge": ({"input": [10**30]}, f"Invalid 'input[0]': {10**30} is not", "input", "invalid_token"),
    "encoding": ({"input": "x", "encoding_format": "hex"}, "'$.encoding_format' is invalid.", "encoding_format", None),
    "no dimensions": ({"input": "x", "dimensions": 0}, "'$.dimensions' is invalid.", "dimensions", None),
    "endless dimensions": (
        {"input": "x", "dimensions": 10**20},
        "'$.dimensions' is invalid.",
        "dimensions",
        None,
    ),
    "text dimensions": ({"input": "x", "dimensions": "4"}, "'$.dimensions' is invalid.", "dimensions", None),
    "wide": ({"input": "x", "dimensions": 9}, "Invalid value for 'dimensions' = 9. Must be less", "dimensions", None),
    "model number": ({"input": "x", "model": 5}, "'$.model' is invalid.", "model", None),
    "too many": (
        {"input": ["x"] * 5001},
        (
            "Invalid 'input': array too long. Expected an array with maximum length 5000, but got an array with length "
            "5001 instead."
        ),
        "input",
        "array_above_max_length",
    ),
}


@pytest.mark.parametrize("case", BAD_BODIES)
def test_400_says_what_is_wrong_and_where(gateway_under_test, caller, case):
    body, message, param, code = BAD_BODIES[case]
    error = assert_shape(gateway_under_test.embed(caller, body), 400)
    assert error["message"].startswith(message)
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, code)


def test_bad_token_ids_name_the_switch_of_the_client_that_sends_them(gateway_under_test, caller):
    reply = gateway_under_test.embed(caller, {"input": [[200000]]})
    assert "check_embedding_ctx_length=False" in reply.json()["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{'input': 'x'}",
        b'{"input": "x"} trailing',
        b'{"input": "\xff"}',
        b'{"input": "\\ud800"}',
        b'{"input": "a\\udc00b"}',
        b'{"input": NaN}',
        b"\x00\x01\x02",
        b'{"deep": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    ],
    ids=lambda body: repr(body[:24]),
)
def test_400_for_what_is_no_json(gateway_under_test, caller, body):
    error = assert_shape(gateway_under_test.post("/v1/embeddings", caller, content=body), 400)
    assert error["message"].startswith("We could not parse the JSON body of your request.")
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize("body", [[], "x", 5, None], ids=repr)
def test_400_for_json_that_is_no_object(gateway_under_test, caller, body):
    reply = gateway_under_test.post("/v1/embeddings", caller, content=json.dumps(body))
    assert_shape(reply, 400)


def test_404_for_an_unknown_model_suggests_one_that_may_be_used(gateway_under_test, caller):
    error = assert_shape(gateway_under_test.embed(caller, {"model": "tests/minni", "input": "x"}), 404)
    assert error["message"] == (
        "The model `tests/minni` does not exist or you do not have access to it. Did you mean `tests/mini`?"
    )
    assert (error["type"], error["code"]) == ("invalid_request_error", "model_not_found")


def test_404_for_an_unknown_path(gateway_under_test, caller):
    error = assert_shape(gateway_under_test.post("/v1/foo", caller, json={}), 404)
    assert error["message"] == "Invalid URL (POST /v1/foo)"


def test_405_says_which_methods_there_are(gateway_under_test, caller):
    reply = gateway_under_test.request("GET", "/v1/embeddings", caller)
    assert_shape(reply, 405)
    assert "POST" in reply.headers["allow"]


def test_413_for_a_large_body_and_the_connection_serves_on(gateway_under_test, caller):
    error = assert_shape(gateway_under_test.embed(caller, {"input": "x" * 1_000_001}), 413)
    assert error["type"] == "request_too_large"
    assert gateway_under_test.embed(caller, {"input": "x"}).status_code == 200


def test_413_for_a_body_that_never_said_its_length(gateway_under_test, caller):
    chunks = (b"x" * 100_000 for _ in range(11))
    assert_shape(gateway_under_test.post("/v1/embeddings", caller, content=chunks), 413)


ENGINE_ERRORS = {
    "queue_full": (429, "server_error", "engine_overloaded", True),
    "out_of_memory": (429, "server_error", "engine_overloaded", True),
    "inference_failed": (500, "server_error", None, False),
    "unauthorized": (500, "server_error", None, False),
    "made_up": (500, "server_error", None, False),
    "model_invalid": (500, "server_error", "model_unusable", False),
    "model_not_found": (500, "server_error", "model_unusable", False),
    "model_too_large": (500, "server_error", "model_unusable", False),
    "model_loading": (503, "server_error", "model_loading", True),
    "load_timed_out": (503, "server_error", "model_loading", True),
    "hub_unreachable": (503, "server_error", "model_unreachable", True),
    "disk_full": (503, "server_error", "model_unreachable", True),
    "deadline_passed": (503, "server_error", "deadline_passed", True),
    "draining": (503, "server_error", "no_engine_node", True),
    "dimensions_unsupported": (400, "invalid_request_error", None, False),
    "bad_request": (400, "invalid_request_error", None, False),
    "task_unsupported": (400, "invalid_request_error", "task_unsupported", False),
}


@pytest.mark.parametrize("code", ENGINE_ERRORS)
def test_what_a_node_says_becomes_what_clients_know(gateway_under_test, caller, code):
    status, kind, wire_code, retry = ENGINE_ERRORS[code]
    reply = gateway_under_test.embed(caller, {"input": f"__error {code}__"})
    error = assert_shape(reply, status)
    assert (error["type"], error["code"]) == (kind, wire_code)
    assert ("retry-after" in reply.headers) == ("retry-after-ms" in reply.headers) == retry
    if code.startswith("model_") and status == 500:
        assert reply.headers["x-should-retry"] == "false"
    if code == "inference_failed":
        assert error["message"] == "The server had an error while processing your request. Sorry about that!"


def test_failed_requests_cost_nothing(gateway_under_test):
    limited = gateway_under_test.caller(tokens=1000, requests=10)
    for code in ("inference_failed", "queue_full", "bad_request"):
        reply = gateway_under_test.embed(limited, {"input": f"__error {code}__"})
        assert reply.headers["x-ratelimit-remaining-tokens"] == "1000"
        assert reply.headers["x-ratelimit-remaining-requests"] == "10"
    assert [(row.status, row.tokens) for row in gateway_under_test.usage(limited)] == [(500, 0), (429, 0), (400, 0)]


def test_the_callers_request_id_is_kept_if_it_is_sane(gateway_under_test, caller):
    kept = gateway_under_test.embed(caller, {"input": "x"}, headers={"x-request-id": "trace-1.2:3"})
    assert kept.headers["x-request-id"] == "trace-1.2:3"
    replaced = gateway_under_test.embed(caller, {"input": "x"}, headers={"x-request-id": "a b" * 100})
    assert replaced.headers["x-request-id"].startswith("req_")


def test_500_for_what_nobody_foresaw_tells_nothing_of_it(gateway_under_test, caller, monkeypatch):
    monkeypatch.setattr(type(gateway_under_test.services.nodes), "run", lambda *_, **__: 1 / 0)
    error = assert_shape(gateway_under_test.embed(caller, {"input": "x"}), 500)
    assert error["message"] == "The server had an error while processing your request. Sorry about that!"
    assert "division" not in error["message"]
