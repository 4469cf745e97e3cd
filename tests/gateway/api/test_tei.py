"""The wire of text-embeddings-inference: no model in the body, bare lists, errors of its own shape."""

import struct

import pytest

from benchmarks.fake_engine import vector

PATHS = ["/embed", "/", "/embed_sparse", "/embed_all"]


def whole(text, width=8):
    return list(struct.unpack(f"<{width}f", vector(text, width)))


@pytest.mark.parametrize("path", ["/embed", "/"])
@pytest.mark.parametrize(("inputs", "texts"), [("a", ["a"]), (["a", "b c"], ["a", "b c"])])
def test_a_list_of_vectors(gateway_under_test, caller, path, inputs, texts):
    reply = gateway_under_test.post(path, caller, json={"inputs": inputs, "normalize": True, "truncate": True})
    assert reply.json() == [whole(text) for text in texts]
    (row,) = gateway_under_test.usage(caller)
    assert (row.endpoint, row.inputs, row.model) == ("/embed", len(texts), "tests/mini")


def test_sparse_vectors_are_pairs_of_index_and_value(gateway_under_test, caller):
    reply = gateway_under_test.post("/embed_sparse", caller, json={"inputs": ["a bb", "c"]})
    assert reply.json() == [[{"index": 1, "value": 1.0}, {"index": 2, "value": 2.0}], [{"index": 1, "value": 1.0}]]


def test_chromas_client_names_its_model_in_a_header_and_reads_two_lists(gateway_under_test, caller):
    headers = {"x-chroma-token": caller.key, "x-chroma-embedding-model": "mini"}
    body = {"texts": ["a bb"], "task": "", "target": "", "fetch_tokens": "false"}
    reply = gateway_under_test.post("/embed_sparse", headers=headers, json=body)
    assert reply.json() == {"embeddings": [{"indices": [1, 2], "values": [1.0, 2.0]}]}
    headers["x-chroma-embedding-model"] = "prithivida/Splade_PP_en_v1"
    assert gateway_under_test.post("/embed_sparse", headers=headers, json=body).status_code == 404


def test_every_token_has_a_vector(gateway_under_test, caller):
    reply = gateway_under_test.post("/embed_all", caller, json={"inputs": ["a bb", "c"]})
    assert reply.json() == [[whole("a", 4), whole("bb", 4)], [whole("c", 4)]]


def test_prompts_and_widths_reach_the_node(gateway_under_test, caller):
    reply = gateway_under_test.post("/embed", caller, json={"inputs": "a", "prompt_name": "query", "dimensions": 4})
    assert reply.json() == [whole("query: a", 4)]


def test_a_model_may_be_named_all_the_same(gateway_under_test, caller):
    reply = gateway_under_test.post("/embed", caller, json={"inputs": "a", "model": "mini:query"})
    assert reply.json() == [whole("query: a")]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"inputs": 7}, 400),
        ({"inputs": []}, 400),
        ({}, 400),
        ({"inputs": "a", "model": "nothing"}, 404),
        ({"inputs": "a", "truncation_direction": "Left"}, 400),
        ({"inputs": "long " * 600, "truncate": False}, 400),
        ({"inputs": "__error queue_full__"}, 429),
        ({"inputs": "__error inference_failed__"}, 500),
    ],
)
def test_errors_have_teis_own_shape(gateway_under_test, caller, path, body, status):
    reply = gateway_under_test.post(path, caller, json=body)
    assert reply.status_code == status
    assert set(reply.json()) == {"error", "error_type"}
    kinds = {429: "Overloaded", 500: "Backend"}
    assert reply.json()["error_type"] == kinds.get(status, "Validation")


@pytest.mark.parametrize("path", PATHS)
def test_so_have_errors_from_before_the_body_was_read(gateway_under_test, caller, path):
    stranger = gateway_under_test.post(path, json={"inputs": "a"})
    assert stranger.status_code == 401
    broken = gateway_under_test.post(path, caller, content=b"{")
    large = gateway_under_test.post(path, caller, content=b" " * 1_000_001)
    for reply, status in ((stranger, 401), (broken, 400), (large, 413)):
        assert (reply.status_code, set(reply.json())) == (status, {"error", "error_type"})


@pytest.mark.parametrize("texts", [7, "a", [1], {"a": 1}, [["a"]]])
def test_a_ranking_whose_texts_are_no_texts_is_refused_in_teis_shape(gateway_under_test, caller, texts):
    reply = gateway_under_test.post("/rerank", caller, json={"query": "q", "texts": texts})
    assert reply.status_code == 400
    assert set(reply.json()) == {"error", "error_type"}
    assert "$.texts" in reply.json()["error"]


@pytest.mark.parametrize("body", [{"query": "q", "documents": 7}, {"query": 1, "texts": None, "documents": ["a"]}, [1]])
def test_other_rankings_are_refused_in_openais(gateway_under_test, caller, body):
    reply = gateway_under_test.post("/rerank", caller, json=body)
    assert reply.status_code == 400
    assert reply.json()["error"]["type"] == "invalid_request_error"
