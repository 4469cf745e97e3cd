"""What is sent, in which parts, and what replies come to."""

import struct
from base64 import b64encode

import pytest

from shoal.client import BadReply, ClientSettings, Ranked
from shoal.client.calls import batches, classify, describe, embed, extract, rerank
from shoal.client.replies import Part


def test_batches_have_so_many_texts_and_so_many_bytes():
    assert batches(["x"] * 5, 2, 100) == [(0, 2), (2, 4), (4, 5)]
    assert batches(["xx", "xx", "xx"], 10, 4) == [(0, 2), (2, 3)]
    assert batches(["é"] * 3, 10, 4) == [(0, 2), (2, 3)], "bytes, not characters"
    assert batches([], 10, 10) == []


def test_a_text_that_is_too_big_for_a_batch_has_one_of_its_own():
    assert batches(["x" * 9, "x", "x" * 9, "x"], 10, 5) == [(0, 1), (1, 2), (2, 3), (3, 4)]


@pytest.mark.parametrize("texts", [["a", None], ["a", 1], [["a"]]])
def test_what_is_no_text_is_refused_by_its_place_before_anything_is_sent(texts):
    with pytest.raises(TypeError, match=rf"text {len(texts) - 1} is"):
        embed(texts, model="m")


def test_one_text_is_a_list_of_one_and_not_its_letters():
    assert [piece.request.body["input"] for piece in embed("abc", model="m").pieces(ClientSettings())] == [["abc"]]


def test_only_what_was_said_is_sent():
    (plain,) = embed(["a"], model="m").pieces(ClientSettings())
    assert plain.request.body == {"model": "m", "input": ["a"], "encoding_format": "base64"}
    call = embed(["a"], model="m", input_type="query", outputs=("sparse",), dimensions=8, truncate=False)
    (full,) = call.pieces(ClientSettings())
    assert full.request.body == {
        "model": "m", "input": ["a"], "encoding_format": "base64", "input_type": "query",
        "output_types": ["sparse"], "dimensions": 8, "truncate": False,
    }  # fmt: skip


def test_a_models_name_is_one_step_of_the_path():
    (piece,) = describe("BAAI/bge m3").pieces(ClientSettings())
    assert (piece.request.method, piece.request.path) == ("GET", "/v1/models/BAAI%2Fbge%20m3")


def reply(*vectors, **more):
    data = [{"index": place, "embedding": vector} for place, vector in enumerate(vectors)]
    return {"data": data, "usage": {"total_tokens": 7}, **more}


def test_parts_come_together_in_the_order_of_the_texts():
    found = embed(["a", "b", "c"], model="m").merge(
        [Part(0, 2, reply([1.0], [2.0])), Part(2, 1, reply([3.0], truncated=[0]))]
    )
    assert (found.dense, found.tokens, found.truncated) == ([[1.0], [2.0], [3.0]], 14, [2])


def test_base64_is_little_endian_float32():
    packed = b64encode(struct.pack("<3f", 0.1, -2.5, 3e-9)).decode()
    (vector,) = embed("a", model="m").merge([Part(0, 1, reply(packed))]).dense
    assert vector == list(struct.unpack("<3f", struct.pack("<3f", 0.1, -2.5, 3e-9)))


def test_a_reply_in_another_order_is_put_in_order():
    shuffled = {**reply([1.0], [2.0]), "data": list(reversed(reply([1.0], [2.0])["data"]))}
    assert embed(["a", "b"], model="m").merge([Part(0, 2, shuffled)]).dense == [[1.0], [2.0]]


@pytest.mark.parametrize(
    "wrong",
    [
        reply([1.0]),
        reply([1.0], [2.0], [3.0]),
        {"data": []},
        [],
        {"usage": {}},
        reply("!"),
        reply(None, [1.0]) | {"usage": 1},
    ],
    ids=str,
)
def test_a_reply_that_leaves_something_out_is_no_shorter_result(wrong):
    with pytest.raises(BadReply):
        embed(["a", "b"], model="m").merge([Part(0, 2, wrong)])


def ranking(*scores):
    results = [{"index": place, "relevance_score": score} for place, score in enumerate(scores)]
    return {"results": results, "usage": {"total_tokens": 1}}


def test_ranks_of_parts_are_ranks_of_all():
    call = rerank("q", ["a", "b", "c", "d"], model="m")
    found = call.merge([Part(0, 2, ranking(0.1, 0.9)), Part(2, 2, ranking(0.9, 0.5))])
    assert found.results == [Ranked(1, 0.9), Ranked(2, 0.9), Ranked(3, 0.5), Ranked(0, 0.1)]
    some = rerank("q", ["a", "b", "c", "d"], model="m", top_n=1)
    assert some.merge([Part(0, 2, ranking(0.1, 0.9)), Part(2, 2, ranking(0.2, 0.5))]).results == [Ranked(1, 0.9)]


def test_a_document_without_a_score_is_a_bad_reply():
    with pytest.raises(BadReply, match="every document"):
        rerank("q", ["a", "b"], model="m").merge([Part(0, 2, ranking(0.1))])


def test_labels_and_spans():
    fits = {"data": [{"index": 0, "predictions": [{"label": "glad", "score": 0.9}]}], "usage": {"total_tokens": 3}}
    (labels,) = classify("a", model="m").merge([Part(0, 1, fits)]).labels
    assert [(label.name, label.score) for label in labels] == [("glad", 0.9)]
    span = {"start": 0, "end": 3, "text": "Eva", "label": "PER", "score": 0.8}
    spans = {"data": [{"index": 0, "entities": [span]}], "usage": {"total_tokens": 3}}
    (((entity),),) = extract("Eva", model="m").merge([Part(0, 1, spans)]).entities
    assert (entity.start, entity.end, entity.text, entity.label, entity.score) == (0, 3, "Eva", "PER", 0.8)
