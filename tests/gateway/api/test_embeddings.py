import base64
import json
import struct

import pytest

from benchmarks.fake_engine import vector

MINI = "tests/mini"


def floats(reply):
    return [item["embedding"] for item in reply.json()["data"]]


def test_a_text_gets_the_nodes_vector_and_the_true_token_count(gateway_under_test, caller):
    reply = gateway_under_test.embed(caller, {"input": "hello world"})
    assert reply.status_code == 200
    assert reply.json() == {
        "object": "list",
        "data": [
            {
                "object": "embedding",
                "index": 0,
                "embedding": list(struct.unpack("<8f", vector("hello world", 8))),
            }
        ],
        "model": MINI,
        "usage": {"prompt_tokens": 4, "total_tokens": 4},
    }


@pytest.mark.parametrize(
    "source",
    ["hello world", ["hello world"], [15339, 1917], [[15339, 1917]]],
    ids=["text", "texts", "token array", "token arrays"],
)
def test_the_four_input_shapes_are_one_input(gateway_under_test, caller, source):
    reply = gateway_under_test.embed(caller, {"input": source})
    assert floats(reply) == [list(struct.unpack("<8f", vector("hello world", 8)))]


def test_base64_is_the_floats_bit_for_bit(gateway_under_test, caller):
    texts = ["a", "b c", "", "d e f"]
    as_floats = floats(gateway_under_test.embed(caller, {"input": texts}))
    as_text = floats(gateway_under_test.embed(caller, {"input": texts, "encoding_format": "base64"}))
    assert [struct.pack("<8f", *row) for row in as_floats] == [base64.b64decode(row) for row in as_text]
    assert as_text == [base64.b64encode(vector(text, 8)).decode() for text in texts]


def test_replies_keep_the_order_of_thousands_of_inputs(gateway_under_test, caller):
    texts = [f"text {number}" for number in range(3000)]
    data = gateway_under_test.embed(caller, {"input": texts, "encoding_format": "base64"}).json()["data"]
    assert [item["index"] for item in data] == list(range(3000))
    assert data[2999]["embedding"] == base64.b64encode(vector("text 2999", 8)).decode()


@pytest.mark.parametrize(
    "extra",
    [
        {"encoding_format": None, "dimensions": None, "truncate": None, "user": None},
        {"user": "u1", "input_type": "query", "task": "x", "late_chunking": False, "metadata": {"a": [1]}},
        {"truncate": "END", "truncation": True, "user": 7},
    ],
    ids=["nulls", "unknown fields", "other spellings"],
)
def test_what_clients_add_does_no_harm(gateway_under_test, caller, extra):
    assert gateway_under_test.embed(caller, {"input": "x", **extra}).status_code == 200


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/octet-stream", "application/json; charset=x"]
)
def test_json_is_read_whatever_its_content_type(gateway_under_test, caller, content_type):
    headers = {} if content_type is None else {"content-type": content_type}
    body = json.dumps({"model": MINI, "input": "x"}).encode()
    reply = gateway_under_test.post("/v1/embeddings", caller, content=body, headers=headers)
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/json")


def test_dimensions_reach_the_node(gateway_under_test, caller):
    reply = gateway_under_test.embed(caller, {"input": "x", "dimensions": 4})
    assert [len(row) for row in floats(reply)] == [4]


def test_cut_inputs_are_reported_in_a_header_and_in_the_body(gateway_under_test, caller):
    reply = gateway_under_test.embed(caller, {"input": ["short", "long " * 600, "short", "long " * 700]})
    assert reply.status_code == 200
    assert reply.headers["x-shoal-truncated"] == "2"
    assert reply.json()["truncated"] == [1, 3]
    assert reply.json()["usage"]["total_tokens"] == 3 + 512 + 3 + 512


def test_nothing_is_said_of_cutting_where_nothing_was_cut(gateway_under_test, caller):
    reply = gateway_under_test.embed(caller, {"input": "short"})
    assert "x-shoal-truncated" not in reply.headers
    assert "truncated" not in reply.json()


@pytest.mark.parametrize("refusal", [{"truncate": False}, {"truncate": "NONE"}, {"truncation": False}])
def test_inputs_that_may_not_be_cut_are_refused_in_the_words_that_clients_know(gateway_under_test, caller, refusal):
    reply = gateway_under_test.embed(caller, {"input": ["ok", "long " * 600], **refusal})
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert error["code"] == "context_length_exceeded"
    assert error["message"] == (
        "This model's maximum context length is 512 tokens, however you requested 602 tokens (602 in your prompt; "
        "0 for the completion). Please reduce your prompt; or completion length. (input[1])"
    )


@pytest.mark.parametrize("path", ["/v1/embeddings", "/embeddings", "/v1/v1/embeddings"])
def test_every_path_that_clients_build_works(gateway_under_test, caller, path):
    reply = gateway_under_test.post(path, caller, json={"model": MINI, "input": "x"})
    assert reply.status_code == 200


@pytest.mark.parametrize("name", ["mini", MINI])
def test_the_reply_bears_the_name_that_was_asked_for(gateway_under_test, caller, name):
    assert gateway_under_test.embed(caller, {"model": name, "input": "x"}).json()["model"] == name


@pytest.mark.parametrize("model", [{}, {"model": None}, {"model": ""}], ids=["absent", "null", "empty"])
def test_without_a_model_the_default_serves(gateway_under_test, caller, model):
    reply = gateway_under_test.post("/v1/embeddings", caller, json={"input": "x", **model})
    assert (reply.status_code, reply.json()["model"]) == (200, MINI)


@pytest.mark.parametrize("text", ["", "\x00", "a\x00b", "😀", "日本" * 1000, "\u202e", "\ufeff"])
def test_odd_texts_get_vectors(gateway_under_test, caller, text):
    assert gateway_under_test.embed(caller, {"input": [text]}).status_code == 200


def test_usage_is_recorded_with_true_counts(gateway_under_test, caller):
    gateway_under_test.embed(caller, {"input": ["hello world", "x"]})
    (row,) = gateway_under_test.usage(caller)
    assert (row.status, row.inputs, row.tokens, row.model, row.endpoint) == (200, 2, 7, MINI, "/v1/embeddings")
    assert row.tenant_name == caller.tenant
    assert row.bytes_in > 0
    assert row.latency_ms > 0
