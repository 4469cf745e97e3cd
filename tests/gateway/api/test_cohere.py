"""Cohere's embed, in both versions: as the SDK's own types read it (tests/end_to_end has the SDK itself)."""

import base64
import struct

import pytest

from benchmarks.fake_engine import vector

MINI = "tests/mini"
BODY = {"model": MINI, "texts": ["a", "b c"], "input_type": "search_document"}


def whole(text, width=8):
    return list(struct.unpack(f"<{width}f", vector(f"document: {text}", width)))


def post(gateway, caller, version, **extra):
    return gateway.post(f"/v{version}/embed", caller, json=BODY | extra)


def test_version_1_gives_a_plain_list_where_no_type_is_named(gateway_under_test, caller):
    reply = post(gateway_under_test, caller, 1)
    assert reply.json() == {
        "id": reply.headers["x-request-id"],
        "response_type": "embeddings_floats",
        "embeddings": [whole("a"), whole("b c")],
        "texts": ["a", "b c"],
        "meta": {"api_version": {"version": "1"}, "billed_units": {"input_tokens": 7}},
    }


def test_version_1_gives_types_where_they_are_named(gateway_under_test, caller):
    body = post(gateway_under_test, caller, 1, embedding_types=["float"], truncate=None).json()
    assert body["response_type"] == "embeddings_by_type"
    assert body["embeddings"] == {"float": [whole("a"), whole("b c")]}


@pytest.mark.parametrize("types", [{}, {"embedding_types": None}, {"embedding_types": ["float"]}])
def test_version_2_gives_floats_by_type(gateway_under_test, caller, types):
    body = post(gateway_under_test, caller, 2, **types).json()
    assert body["embeddings"] == {"float": [whole("a"), whole("b c")]}
    assert body["meta"]["api_version"] == {"version": "2"}
    assert "response_type" not in body


def test_every_type_in_one_reply_and_each_pass_on_the_bill(gateway_under_test, caller):
    types = ["float", "base64", "int8", "uint8", "binary", "ubinary"]
    body = post(gateway_under_test, caller, 2, embedding_types=types, output_dimension=4).json()
    found = body["embeddings"]
    assert set(found) == set(types)
    assert [struct.pack("<4f", *row) for row in found["float"]] == [base64.b64decode(row) for row in found["base64"]]
    assert [[stored - 128 for stored in row] for row in found["uint8"]] == found["int8"]
    assert [[stored - 128 for stored in row] for row in found["ubinary"]] == found["binary"]
    assert [len(row) for row in found["binary"]] == [1, 1]
    assert body["meta"]["billed_units"] == {"input_tokens": 5 * 7}
    (row,) = gateway_under_test.usage(caller)
    assert (row.endpoint, row.inputs, row.tokens) == ("/v2/embed", 2, 35)


def test_a_quota_bounds_all_passes_together(gateway_under_test):
    caller = gateway_under_test.caller(tokens=20)
    texts = ["a" * 6]  # 8 tokens at most
    assert post(gateway_under_test, caller, 2, texts=texts, embedding_types=["float", "int8"]).status_code == 200
    reply = post(gateway_under_test, caller, 2, texts=texts, embedding_types=["float", "int8", "binary"])
    assert reply.json()["error"]["type"] == "max_tokens_per_request"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"texts": None}, "texts"),
        ({"texts": []}, "texts"),
        ({"texts": "a"}, "texts"),
        ({"texts": [1]}, "texts"),
        ({"texts": ["a"] * 5001}, "texts"),
        ({"images": ["data:…"]}, "texts"),
        ({"inputs": [{"content": []}]}, "texts"),
        ({"input_type": "image"}, "input_type"),
        ({"truncate": "START"}, "truncate"),
        ({"truncate": "MIDDLE"}, "truncate"),
        ({"embedding_types": ["int4"]}, "embedding_types"),
        ({"embedding_types": []}, "embedding_types"),
    ],
)
def test_a_bad_field_is_named(gateway_under_test, caller, change, param):
    reply = post(gateway_under_test, caller, 2, **change)
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == param
    assert reply.json()["message"] == reply.json()["error"]["message"], "where Cohere's SDK looks"


def test_texts_that_may_not_be_cut_are_refused(gateway_under_test, caller):
    reply = post(gateway_under_test, caller, 1, texts=["long " * 600], truncate="NONE")
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "context_length_exceeded")
    cut = post(gateway_under_test, caller, 1, texts=["long " * 600], truncate="END")
    assert (cut.status_code, cut.headers["x-shoal-truncated"]) == (200, "1")
