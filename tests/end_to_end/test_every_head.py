"""Every head through `shoal serve`, by real clients: each answer is the node's own, asked in process."""

import base64

import cohere
import httpx
import numpy as np
import openai
import pytest
from huggingface_hub import InferenceClient

from benchmarks.every_head import HEADS
from benchmarks.questions import LABELS, TEXTS, over_http, parts_over_http, questions

TOLERANCE = 1e-4
SOME = list(TEXTS[:4])


@pytest.fixture(scope="module")
def asked(head_folders):
    return questions(head_folders)


@pytest.fixture(scope="module")
def fleet(start_server, tmp_path_factory, head_folders, register_heads):
    with start_server(tmp_path_factory.mktemp("data"), "--default-model", "dense") as server:
        register_heads(server, head_folders)
        yield server


@pytest.fixture(scope="module")
def http(fleet):
    headers = {"authorization": f"Bearer {fleet.api_key}"}
    with httpx.Client(base_url=fleet.url, headers=headers, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def sdk(fleet):
    with openai.OpenAI(base_url=f"{fleet.url}/v1", api_key=fleet.api_key, max_retries=0) as client:
        yield client


def done(reply):
    assert reply.status_code == 200, reply.text
    return reply.json()


def truth(asked, model, kind, **fields):
    """The node's own answer to a request that asks all texts."""
    return next(
        question.truth
        for question in asked
        if question.model == model
        and type(question.request).__name__ == kind
        and len(question.truth) >= len(TEXTS)
        and all(getattr(question.request, name) == value for name, value in fields.items())
    )


def vectors(parts, output="dense"):
    return [np.array([value for name, value in part.items() if name.startswith(output)]) for part in parts[: len(SOME)]]


@pytest.mark.parametrize("model", HEADS)
def test_every_head_answers_as_the_node_does_alone(http, asked, model):
    mine = [question for question in asked if question.model == model]
    assert len(mine) >= 5
    for question in mine:
        path, body = over_http(question.request)
        assert question.wrong(parts_over_http(question.request, done(http.post(path, json=body))), TOLERANCE) is None


def test_the_list_of_models_says_what_each_is(http):
    listed = {model["id"]: model for model in done(http.get("/v1/models"))["data"]}
    kinds = {name: (listed[name]["type"], tuple(listed[name]["outputs"]), listed[name]["dimensions"]) for name in HEADS}
    assert kinds == {
        "dense": ("embedding", ("dense",), 32),
        "sparse": ("embedding", ("sparse",), 100),
        "all-three": ("embedding", ("dense", "sparse", "multi"), 32),
        "multi": ("embedding", ("multi",), 16),
        "cross-encoder": ("rerank", ("scores",), None),
        "answers": ("rerank", ("scores",), None),
        "classifier": ("classify", ("scores",), None),
        "inference": ("classify", ("scores",), None),
        "tagger": ("extract", ("token_scores",), None),
        "spans": ("extract", ("spans",), None),
        "classes": ("classify", ("classes",), None),
    }
    assert all(listed[name]["native"] for name in HEADS)


def test_openais_sdk_reads_vectors_and_what_stands_beside_them(sdk, asked):
    reply = sdk.embeddings.create(model="dense", input=SOME)  # base64, by its own choice
    expected = vectors(truth(asked, "dense", "EmbedRequest", input_type=None))
    assert np.allclose([item.embedding for item in reply.data], expected, atol=TOLERANCE)
    more = sdk.embeddings.create(
        model="all-three", input=SOME, extra_body={"output_types": ["dense", "sparse", "multi"]}
    )
    parts = truth(asked, "all-three", "EmbedRequest", input_type=None)
    for item, part in zip(more.data, parts, strict=False):
        assert len(item.embedding) == 32
        named = dict(zip(item.sparse_embedding["indices"], item.sparse_embedding["values"], strict=True))
        assert {f"sparse {place}": value for place, value in named.items()} == pytest.approx(
            {name: value for name, value in part.items() if name.startswith("sparse")}, abs=TOLERANCE
        )
        assert np.allclose(np.concatenate(item.multi_embedding), vectors([part], "multi")[0], atol=TOLERANCE)


def test_a_query_is_read_as_one_by_suffix_field_and_prompt(sdk, asked):
    expected = vectors(truth(asked, "dense", "EmbedRequest", input_type="query"))
    ways = (
        {"model": "dense:query"},
        {"model": "dense", "extra_body": {"input_type": "query"}},
        {"model": "dense", "extra_body": {"task": "retrieval.query"}},
        {"model": "dense", "extra_body": {"prompt_name": "query"}},
    )
    for way in ways:
        reply = sdk.embeddings.create(input=SOME, **way)
        assert np.allclose([item.embedding for item in reply.data], expected, atol=TOLERANCE), way
    plain = vectors(truth(asked, "dense", "EmbedRequest", input_type=None))
    assert not np.allclose(expected, plain, atol=0.01), "the prompt makes a difference"


@pytest.mark.parametrize(
    ("kind", "numbers"), [("int8", np.int8), ("uint8", np.uint8), ("binary", np.int8), ("ubinary", np.uint8)]
)
def test_small_numbers_stand_for_the_vectors(http, asked, kind, numbers):
    expected = np.array(vectors(truth(asked, "dense", "EmbedRequest", input_type=None)))
    reply = done(http.post("/v1/embeddings", json={"model": "dense", "input": SOME, "output_dtype": kind}))
    rows = np.array([item["embedding"] for item in reply["data"]])
    if kind in ("int8", "uint8"):
        scale, offset = reply["quantization"]["scale"], reply["quantization"]["offset"]
        assert np.abs((rows - offset) * scale - expected).max() <= scale / 2 + TOLERANCE
    else:
        bits = np.unpackbits((rows + (128 if kind == "binary" else 0)).astype(np.uint8), axis=1)
        assert (bits == (expected > 0)).mean() > 0.99
    voyage = {"model": "dense", "input": SOME, "output_dtype": kind, "encoding_format": "base64", "truncation": True}
    encoded = done(http.post("/v1/embeddings", json=voyage))["data"]
    assert [np.frombuffer(base64.b64decode(item["embedding"]), numbers).tolist() for item in encoded] == rows.tolist()


def test_a_width_that_the_model_was_trained_for(sdk, asked):
    expected = np.array(vectors(truth(asked, "dense", "EmbedRequest", input_type=None)))[:, :8]
    reply = sdk.embeddings.create(model="dense", input=SOME, dimensions=8)
    norms = np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.allclose([item.embedding for item in reply.data], expected / norms, atol=TOLERANCE)
    with pytest.raises(openai.BadRequestError, match="does not support specifying dimensions"):
        sdk.embeddings.create(model="dense", input=SOME, dimensions=9)


def test_coheres_sdk_embeds_ranks_and_classifies(fleet, http, asked):
    queries = vectors(truth(asked, "dense", "EmbedRequest", input_type="query"))
    given = {"api_key": fleet.api_key, "base_url": fleet.url, "httpx_client": http}
    first, second = cohere.Client(**given), cohere.ClientV2(**given)
    plain = first.embed(texts=SOME, model="dense", input_type="search_query")
    assert np.allclose(plain.embeddings, queries, atol=TOLERANCE)
    typed = second.embed(texts=SOME, model="dense", input_type="search_query", embedding_types=["float", "ubinary"])
    assert np.allclose(typed.embeddings.float_, queries, atol=TOLERANCE)
    assert np.shape(typed.embeddings.ubinary) == (len(SOME), 4)
    assert typed.meta.billed_units.input_tokens > 0
    for model in ("cross-encoder", "answers", "multi", "dense"):
        scores = [part["score"] for part in truth(asked, model, "RerankRequest")]
        ranked = second.rerank(model=model, query="w5 w20 w33", documents=list(TEXTS), top_n=3)
        assert [item.relevance_score for item in ranked.results] == pytest.approx(
            sorted(scores, reverse=True)[:3], abs=TOLERANCE * max(map(abs, scores))
        )
    found = first.classify(model="classifier", inputs=SOME)
    best = [max(part, key=part.get) for part in truth(asked, "classifier", "ClassifyRequest")]
    assert [item.prediction for item in found.classifications] == best[: len(SOME)]


@pytest.mark.parametrize("path", ["", "/embed"])
def test_hugging_faces_client_needs_an_address_and_no_model(fleet, asked, path):
    expected = vectors(truth(asked, "dense", "EmbedRequest", input_type=None))
    client = InferenceClient(model=fleet.url + path, token=fleet.api_key)
    found = client.feature_extraction(SOME, normalize=True, truncate=True)
    assert np.allclose(found, expected, atol=TOLERANCE)


def test_teis_wire(http, asked):
    expected = vectors(truth(asked, "all-three", "EmbedRequest", input_type=None))
    named = {"inputs": SOME, "model": "all-three"}
    assert np.allclose(done(http.post("/embed", json=named)), expected, atol=TOLERANCE)
    sparse = done(http.post("/embed_sparse", json=named))
    parts = truth(asked, "all-three", "EmbedRequest", input_type=None)
    for values, part in zip(sparse, parts, strict=False):
        named_values = {f"sparse {item['index']}": item["value"] for item in values}
        assert named_values == pytest.approx(
            {name: value for name, value in part.items() if name.startswith("sparse")}, abs=TOLERANCE
        )
    every = done(http.post("/embed_all", json=named))
    for rows, one in zip(every, vectors(parts, "multi"), strict=True):
        assert np.allclose(np.concatenate(rows), one, atol=TOLERANCE)
    ranked = done(http.post("/rerank", json={"model": "cross-encoder", "query": "w5 w20 w33", "texts": list(TEXTS)}))
    scores = [part["score"] for part in truth(asked, "cross-encoder", "RerankRequest")]
    assert {item["index"]: item["score"] for item in ranked} == pytest.approx(dict(enumerate(scores)), abs=TOLERANCE)


def test_teis_tokens_are_those_that_are_counted(http):
    texts = ["w5 é w6", "w20"]
    shown = done(http.post("/tokenize", json={"inputs": texts}))
    counted = done(http.post("/v1/embeddings", json={"input": texts, "model": "dense"}))["usage"]["total_tokens"]
    assert sum(map(len, shown)) == counted
    for text, tokens in zip(texts, shown, strict=True):
        assert all(text[one["start"] : one["stop"]] == one["text"] for one in tokens if not one["special"])
        assert [one["special"] for one in (tokens[0], tokens[-1])] == [True, True]


def test_teis_predictions_are_those_of_the_models_own_labels(http):
    predicted = done(http.post("/predict", json={"inputs": [[text] for text in SOME], "model": "classifier"}))
    classified = done(http.post("/v1/classify", json={"input": SOME, "model": "classifier"}))["data"]
    for found, one in zip(predicted, classified, strict=True):
        assert {fit["label"]: fit["score"] for fit in found} == pytest.approx(
            {fit["label"]: fit["score"] for fit in one["predictions"]}
        )
    assert done(http.get("/info"))["model_id"] == "dense"
    labels = done(http.get("/info", params={"model": "classifier"}))["model_type"]["classifier"]["label2id"]
    assert set(labels) == {fit["label"] for fit in predicted[0]}


def test_azures_client_names_the_model_in_the_path(fleet, asked):
    expected = vectors(truth(asked, "dense", "EmbedRequest", input_type=None, dimensions=None, prompt_name=None))
    with openai.AzureOpenAI(azure_endpoint=fleet.url, api_key=fleet.api_key, api_version="2024-10-21") as client:
        reply = client.embeddings.create(model="dense", input=SOME)
    assert np.allclose([item.embedding for item in reply.data], expected, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("path", "body", "able"),
    [
        ("/v1/embeddings", {"model": "cross-encoder", "input": "w5"}, "scores"),
        ("/v1/embeddings", {"model": "sparse", "input": "w5"}, "sparse"),
        ("/v1/embeddings", {"model": "dense", "input": "w5", "output_types": ["dense", "sparse"]}, "dense"),
        ("/embed_sparse", {"model": "dense", "inputs": "w5"}, "dense"),
        ("/v1/rerank", {"model": "tagger", "query": "w5", "documents": ["w6"]}, "extract"),
        ("/v1/rerank", {"model": "classifier", "query": "w5", "documents": ["w6"]}, "classify"),
        ("/v1/classify", {"model": "dense", "input": "w5"}, "embed, rerank"),
        ("/v1/classify", {"model": "classifier", "input": "w5", "labels": ["w6"]}, "classify"),
        ("/v1/extract", {"model": "classes", "input": "w5", "labels": ["w6"]}, "classify"),
    ],
)
def test_what_a_model_can_not_do_is_400_and_says_what_it_can(http, path, body, able):
    reply = http.post(path, json=body)
    assert reply.status_code == 400
    error = reply.json()["error"]
    message = error if isinstance(error, str) else error["message"]
    assert able in message
    assert isinstance(error, str) or error["code"] == "task_unsupported"


@pytest.mark.parametrize("count", [0, 501, 1000])
@pytest.mark.parametrize(
    ("path", "model"), [("/v1/classify", "inference"), ("/v1/classify", "classes"), ("/v1/extract", "spans")]
)
def test_label_lists_of_no_use_are_refused(http, path, model, count):
    labels = [f"w{number}" for number in range(count)]
    reply = http.post(path, json={"model": model, "input": "w5", "labels": labels})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "labels")


def test_as_many_labels_as_may_be_are_answered(http):
    labels = [f"w{number}" for number in range(500)]
    (found,) = done(http.post("/v1/classify", json={"model": "inference", "input": "w5 w6", "labels": labels}))["data"]
    assert (len(found["predictions"]), sum(found["probs"])) == (500, pytest.approx(1, abs=1e-3))


def test_spans_are_where_they_say(http):
    texts = ["w5 é w6 🐟 w7, w8", "日本 w20 w21"]
    for model, labels in (("spans", list(LABELS)), ("tagger", None)):
        asked = {"model": model, "input": texts, "labels": labels, "threshold": 0.0}
        found = [item["entities"] for item in done(http.post("/v1/extract", json=asked))["data"]]
        assert any(found)
        for text, entities in zip(texts, found, strict=True):
            assert all(text[one["start"] : one["end"]] == one["text"] for one in entities)


def test_usage_is_what_the_model_read(http):
    one = {"model": "inference", "input": "w5 w6", "hypothesis_template": "w9 {}"}
    few, many = (
        done(http.post("/v1/classify", json=one | {"labels": labels}))["usage"]["total_tokens"]
        for labels in (["w20"], ["w20", "w21", "w22"])
    )
    assert (few, many) == (7, 21), "the text again for every label"
