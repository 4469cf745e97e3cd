"""Whatever JSON comes, the answer is what was asked for or an error in the wire's own shape; never a 5xx."""

import json

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)
FINITE = JSON.filter(lambda value: "Infinity" not in json.dumps(value))
LIKELY = (
    st.text(max_size=10) | st.lists(st.text(max_size=5), max_size=4) | st.lists(st.integers(-5, 101_000), max_size=4)
)
EMBEDDINGS = st.fixed_dictionaries(
    {},
    optional={
        "model": st.sampled_from(["tests/mini", "mini", "none", ""]) | JSON,
        "input": LIKELY | JSON,
        "encoding_format": st.sampled_from(["float", "base64", None]) | JSON,
        "dimensions": st.integers(-1, 9) | JSON,
        "truncate": JSON,
        "user": JSON,
    },
)
RERANK = st.fixed_dictionaries(
    {},
    optional={
        "model": st.sampled_from(["tests/mini", "none"]) | JSON,
        "query": st.text(max_size=10) | JSON,
        "documents": st.lists(st.text(max_size=5) | st.dictionaries(st.text(max_size=4), JSON, max_size=2), max_size=4)
        | JSON,
        "texts": st.lists(st.text(max_size=5), max_size=4) | JSON,
        "top_n": st.integers(-1, 5) | JSON,
        "top_k": JSON,
        "return_documents": st.booleans() | JSON,
        "rank_fields": st.lists(st.text(max_size=4), max_size=2) | JSON,
        "truncation": JSON,
    },
)
LABELLED = st.fixed_dictionaries(
    {},
    optional={
        "model": st.sampled_from(["tests/mini", "none"]) | JSON,
        "input": LIKELY | JSON,
        "inputs": LIKELY | JSON,
        "texts": LIKELY | JSON,
        "labels": st.lists(st.text(max_size=5), max_size=4) | JSON,
        "threshold": st.floats(-1, 2) | JSON,
        "top_k": st.integers(-1, 3) | JSON,
        "multi_label": JSON,
        "input_type": st.sampled_from(["query", "search_document", "clustering", None]) | JSON,
        "embedding_types": st.lists(st.sampled_from(["float", "int8", "base64", "binary"])) | JSON,
        "truncate": st.sampled_from([True, "END", None]) | JSON,
    },
)
OPTIONS = settings(
    max_examples=150, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def client(running):
    with httpx.Client(base_url=running.url, headers=running.caller().headers, timeout=30) as made:
        yield made


@pytest.fixture(scope="module")
def stranger(running):
    """Nobody yet."""
    with httpx.Client(base_url=running.url, timeout=30) as made:
        yield made


def check(reply):
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-ratelimit-limit-tokens"]
    if reply.status_code == 200:
        return reply.json()
    assert reply.status_code in {400, 404}, reply.text
    body = reply.json()
    if "error_type" in body:
        assert isinstance(body["error"], str)
    else:
        assert set(body["error"]) == {"message", "type", "param", "code"}
        assert body["message"]
    return None


@OPTIONS
@given(body=EMBEDDINGS | JSON)
def test_embeddings_answer_any_json(client, body):
    answer = check(client.post("/v1/embeddings", content=json.dumps(body)))
    if answer is not None:
        assert [item["index"] for item in answer["data"]] == list(range(len(answer["data"])))
        assert answer["usage"]["total_tokens"] > 0


@OPTIONS
@given(body=RERANK | JSON)
def test_rerank_answers_any_json(client, body):
    answer = check(client.post("/v1/rerank", content=json.dumps(body)))
    if isinstance(answer, dict):
        scores = [result["relevance_score"] for result in answer["results"]]
        assert scores == sorted(scores, reverse=True)


@OPTIONS
@given(
    path=st.sampled_from(
        [
            *("/v1/classify", "/v1/extract", "/v1/embed", "/v2/embed", "/embed", "/embed_sparse", "/embed_all"),
            *("/", "/tokenize", "/predict", "/infinity/rerank", "/openai/deployments/mini/embeddings"),
        ]
    ),
    body=LABELLED | JSON,
)
def test_the_other_wires_answer_any_json(client, path, body):
    check(client.post(path, content=json.dumps(body)))


KNOWN = {
    "/v1/embeddings": (
        {"input": ["a", "b c"], "model": "mini"},
        *("encoding_format", "dimensions", "output_dimension", "truncate", "truncation", "input_type", "task"),
        *("prompt_name", "output_types", "output_dtype", "embedding_type"),
    ),
    "/v1/embed": (
        {"texts": ["a", "b c"], "model": "mini"},
        *("input_type", "embedding_types", "output_dimension", "truncate", "images", "inputs"),
    ),
    "/v1/rerank": (
        {"query": "a", "documents": ["a", {"text": "b"}], "model": "mini"},
        *("texts", "top_n", "top_k", "return_documents", "return_text", "instruction", "rank_fields", "truncate"),
        *("truncation", "property"),
    ),
    "/embed": (
        {"inputs": ["a", "b c"]},
        *("texts", "model", "truncate", "truncation_direction", "prompt_name", "normalize", "dimensions"),
    ),
    "/tokenize": ({"inputs": ["a", "b c"]}, "model", "add_special_tokens"),
    "/predict": ({"inputs": [["good"], ["a", "b"]]}, "model", "truncate", "raw_scores"),
}
"""Of some wires a body, and the fields that it may have beside."""
FORMS = st.sampled_from(
    [("authorization", ""), ("api-key", ""), ("x-api-key", ""), ("x-chroma-token", "")]
) | st.builds(
    lambda name, before: (name, "".join(before)),
    st.sampled_from(["authorization", "api-key", "x-api-key"]),
    st.lists(st.sampled_from(["Bearer ", "bearer ", "BEARER  "]), min_size=1, max_size=3),
)
"""In which header a key comes, and what is before it."""


@OPTIONS
@given(data=st.data(), form=FORMS, media=st.sampled_from([None, "application/json", "text/plain", "x/y; charset=z"]))
def test_nulls_unknown_fields_and_the_way_a_key_is_shown_change_nothing(data, client, stranger, form, media):
    path = data.draw(st.sampled_from(sorted(KNOWN)))
    body, *fields = KNOWN[path]
    nulls = dict.fromkeys(data.draw(st.sets(st.sampled_from(fields))))
    strange = data.draw(st.dictionaries(st.text("xyz", min_size=1, max_size=3), FINITE, max_size=3))
    name, before = form
    headers = {name: before + client.headers["authorization"].removeprefix("Bearer ")}
    if media is not None:
        headers["content-type"] = media
    content = json.dumps({**strange, **nulls, **body})
    odd = stranger.post(path, content=content, headers=headers)
    plain = client.post(path, json=body)
    assert odd.status_code == plain.status_code == 200, odd.text
    changing = (odd.headers["x-request-id"], plain.headers["x-request-id"])
    assert odd.text.replace(changing[0], "") == plain.text.replace(changing[1], "")


@OPTIONS
@given(
    texts=st.lists(st.text(max_size=8), min_size=1, max_size=5),
    path=st.sampled_from(
        ["/v1/embeddings", "/v1/v1/embeddings", "/infinity/embeddings", "/v1/engines/mini/embeddings"]
    ),
)
def test_every_wire_gives_a_text_the_same_vector(client, texts, path):
    said = client.post(path, json={"model": "mini", "input": texts}).json()
    assert [item["index"] for item in said["data"]] == list(range(len(texts)))
    vectors = [item["embedding"] for item in said["data"]]
    objects = client.post(path, json={"model": "mini", "input": [{"text": text} for text in texts]}).json()
    assert [item["embedding"] for item in objects["data"]] == vectors
    assert client.post("/embed", json={"inputs": texts, "normalize": False}).json() == vectors
    assert client.post("/v1/embed", json={"texts": texts, "model": "mini"}).json()["embeddings"] == vectors
    assert client.post("/", json={"texts": texts, "model": "mini"}).json()["embeddings"] == {"float": vectors}


@OPTIONS
@given(body=st.binary(max_size=60))
def test_any_bytes_are_answered(client, body):
    check(client.post("/v1/embeddings", content=body))
    check(client.post("/rerank", content=body))


@OPTIONS
@given(text=st.text(max_size=200))
def test_any_text_is_embedded(client, text):
    reply = client.post("/v1/embeddings", json={"model": "tests/mini", "input": [text, "x"]})
    assert reply.status_code == 200
