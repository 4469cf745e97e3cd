"""What /v1/embeddings takes and gives beyond OpenAI's own: kinds of input, outputs and numbers."""

import base64
import struct

import pytest

from benchmarks.fake_engine import vector

MINI = "tests/mini"


def whole(text, width=8):
    return list(struct.unpack(f"<{width}f", vector(text, width)))


def item(reply):
    assert reply.status_code == 200, reply.text
    (one,) = reply.json()["data"]
    return one


@pytest.mark.parametrize(
    ("extra", "read_as"),
    [
        ({"input_type": "query"}, "query: x"),
        ({"input_type": "search_query"}, "query: x"),
        ({"input_type": "document"}, "document: x"),
        ({"input_type": "passage"}, "document: x"),
        ({"model": f"{MINI}:query"}, "query: x"),
        ({"model": "mini:document"}, "document: x"),
        ({"model": "mini:query", "input_type": "document"}, "document: x"),
        ({"task": "retrieval.query"}, "retrieval.query: x"),
        ({"prompt_name": "s2p"}, "s2p: x"),
        ({"input_type": "clustering"}, "x"),
        ({}, "x"),
    ],
)
def test_the_node_is_told_how_to_read_the_texts(gateway_under_test, caller, extra, read_as):
    reply = gateway_under_test.embed(caller, {"input": "x", **extra})
    assert item(reply)["embedding"] == whole(read_as)
    assert reply.json()["model"] == extra.get("model", MINI)


def test_an_unknown_kind_of_input_is_refused_by_name(gateway_under_test, caller):
    error = gateway_under_test.embed(caller, {"input": "x", "input_type": "image"}).json()["error"]
    assert error["param"] == "input_type"
    assert "'image'. Known are query, search_query, document" in error["message"]


@pytest.mark.parametrize("name", ["mini:passage", "mini:", ":query", "mini:query:query", "tests/nothing:query"])
def test_only_the_two_suffixes_are_no_part_of_a_name(gateway_under_test, caller, name):
    error = gateway_under_test.embed(caller, {"input": "x", "model": name}).json()["error"]
    assert error["code"] == "model_not_found"
    assert f"`{name}`" in error["message"]


def test_a_suffix_opens_no_model_that_is_forbidden(gateway_under_test):
    narrow = gateway_under_test.caller(allow=["tests/mini"])
    reply = gateway_under_test.embed(narrow, {"input": "x", "model": "tests/secret:query"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "model_not_found")


def test_other_outputs_stand_beside_the_vector(gateway_under_test, caller):
    reply = gateway_under_test.embed(caller, {"input": "a bb", "output_types": ["dense", "sparse", "multi"]})
    one = item(reply)
    assert one["embedding"] == whole("a bb")
    assert one["sparse_embedding"] == {"indices": [1, 2], "values": [1.0, 2.0]}
    assert one["multi_embedding"] == [whole("a", 4), whole("bb", 4)]


def test_without_the_vector_there_is_an_empty_one(gateway_under_test, caller):
    reply = gateway_under_test.embed(caller, {"input": ["a", "bb"], "output_types": ["sparse"]})
    assert [one["embedding"] for one in reply.json()["data"]] == [[], []]
    assert [one["sparse_embedding"]["indices"] for one in reply.json()["data"]] == [[1], [2]]
    assert reply.json()["usage"]["total_tokens"] == 6


@pytest.mark.parametrize("wrong", [[], ["dense", "colour"], "dense"])
def test_outputs_that_there_are_not_are_refused(gateway_under_test, caller, wrong):
    error = gateway_under_test.embed(caller, {"input": "x", "output_types": wrong}).json()["error"]
    assert error["param"] == "output_types"


def test_small_numbers_come_with_what_they_stand_for(gateway_under_test, caller):
    for kind, offset in (("int8", 0), ("uint8", 128)):
        reply = gateway_under_test.embed(caller, {"input": "x", "output_dtype": kind})
        said = reply.json()["quantization"]
        assert said == {"scale": 1 / 127, "offset": offset}
        back = [(stored - said["offset"]) * said["scale"] for stored in item(reply)["embedding"]]
        assert back == pytest.approx(whole("x"), abs=1 / 254 + 1e-9)


@pytest.mark.parametrize(("kind", "code"), [("binary", "b"), ("ubinary", "B")])
def test_bits_are_packed_by_eight(gateway_under_test, caller, kind, code):
    asked = {"input": ["x", "y"], "output_dtype": kind}
    rows = [one["embedding"] for one in gateway_under_test.embed(caller, asked).json()["data"]]
    offset = 128 if kind == "binary" else 0
    for text, (byte,) in zip(("x", "y"), rows, strict=True):
        assert [byte + offset >> place & 1 for place in range(7, -1, -1)] == [value > 0 for value in whole(text)]
    encoded = gateway_under_test.embed(caller, asked | {"encoding_format": "base64"}).json()["data"]
    assert [list(struct.unpack(code, base64.b64decode(one["embedding"]))) for one in encoded] == rows


def test_a_last_byte_that_is_not_full_is_a_byte(gateway_under_test, caller):
    reply = gateway_under_test.embed(caller, {"input": ["x", "y"], "output_dtype": "ubinary", "dimensions": 5})
    assert [len(one["embedding"]) for one in reply.json()["data"]] == [1, 1]


def test_base64_of_small_numbers_is_their_bytes(gateway_under_test, caller):
    asked = {"input": "x", "output_dtype": "int8"}
    row = item(gateway_under_test.embed(caller, asked))["embedding"]
    encoded = item(gateway_under_test.embed(caller, asked | {"encoding_format": "base64"}))["embedding"]
    assert list(struct.unpack("<8b", base64.b64decode(encoded))) == row


def test_voyage_and_jina_spell_it_their_way(gateway_under_test, caller):
    voyage = {"input_type": "query", "truncation": True, "output_dtype": "int8", "output_dimension": 4}
    reply = gateway_under_test.embed(caller, {"input": ["a"], **voyage, "encoding_format": "base64"})
    assert len(base64.b64decode(item(reply)["embedding"])) == 4
    jina = {"task": "retrieval.passage", "late_chunking": False, "embedding_type": "float", "normalized": True}
    assert item(gateway_under_test.embed(caller, {"input": ["a"], **jina}))["embedding"] == whole(
        "retrieval.passage: a"
    )
    as_text = item(gateway_under_test.embed(caller, {"input": "a", "embedding_type": "base64"}))["embedding"]
    assert base64.b64decode(as_text) == vector("a", 8)


def test_what_a_model_can_not_do_is_said_by_the_node(gateway_under_test, caller):
    reply = gateway_under_test.embed(caller, {"input": "__error task_unsupported__"})
    error = reply.json()["error"]
    assert (reply.status_code, error["code"], error["param"]) == (400, "task_unsupported", "model")
    assert error["message"] == "Told to fail with task_unsupported."
