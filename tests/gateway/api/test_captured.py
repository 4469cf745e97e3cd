"""Every request that was captured from a client (captured.txt), and of its answer what that client reads."""

import base64
import json
import re
import struct
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.fake_engine import vector
from gateway.services.register import aliases

NAMES = (
    *("m", "bge-m3", "BAAI/bge-m3", "text-embedding-3-small", "jina-embeddings-v3", "voyage-3", "embed-v4"),
    *("embed-v4.0", "bge-reranker", "rerank-v3.5", "baseten-embedding-model", "prithivida/Splade_PP_en_v1"),
    "Qwen/Qwen3-Embedding-0.6B",
)
REQUEST = re.compile(r"(?P<method>GET|POST) (?P<path>\S+) -> (?P<rule>.+)\n  h: (?P<headers>.*)\n  b: (?P<body>.*)")
CUT = re.compile(r"…\[(\d+) items\]")
GO_DURATION = re.compile(r"(\d+h)?(\d+m)?(\d+(\.\d+)?s|\d+ms)")
CREDENTIAL = re.compile(r"[^ ]+$")
"""The end of a header; what comes before it is the client's own way to send it."""
CREDENTIALS = ("authorization", "api-key", "x-chroma-token")
WIDTH = 8


@dataclass(frozen=True)
class Captured:
    """One request."""

    case: str
    method: str
    path: str
    rule: str
    headers: dict
    body: object


def whole(body):
    """The body with its lists as long as they were."""
    if isinstance(body, dict):
        return {name: whole(value) for name, value in body.items()}
    if not isinstance(body, list):
        return body
    items = [whole(item) for item in body]
    cut = CUT.fullmatch(items[-1]) if items and isinstance(items[-1], str) else None
    return items if cut is None else items[:-1] + [items[-2]] * (int(cut[1]) - len(items) + 1)


def read(text):
    for block in re.split(r"\n\n(?=# )", text)[1:]:
        found = REQUEST.search(block)
        headers = dict(field.split("=", 1) for field in found["headers"].split(", "))
        sent = (found["method"], found["path"], found["rule"], headers, whole(json.loads(found["body"])))
        yield Captured(block.partition("\n")[0].removeprefix("# "), *sent)


CAPTURED = list(read(Path(__file__).with_name("captured.txt").read_text(encoding="utf-8")))


def texts_of(body):
    source = body.get("input", body.get("inputs", body.get("texts")))
    whole_text = isinstance(source, str) or isinstance(source[0], int)
    return [source] if whole_text else [item["text"] if isinstance(item, dict) else item for item in source]


def width_of(body):
    return body.get("dimensions") or body.get("output_dimension") or WIDTH


def openai_vectors(sent, body, kind):
    """All of them, in order, of the kind that was asked for, with what was used."""
    assert [item["index"] for item in body["data"]] == list(range(len(texts_of(sent.body))))
    assert {item["object"] for item in body["data"]} == {"embedding"}
    assert {type(item["embedding"]) for item in body["data"]} == {kind}
    assert body["object"] == "list"
    path_model = re.search("(?:deployments|engines)/(.+)/embeddings", sent.path)
    named = path_model[1].replace("%2F", "/") if path_model else sent.body.get("model", "tests/mini")
    assert body["model"] == named
    assert body["usage"]["prompt_tokens"] == body["usage"]["total_tokens"] > 0
    return [item["embedding"] for item in body["data"]]


def is_vectors(rows, sent, count=None):
    assert len(rows) == (count or len(texts_of(sent.body)))
    for row in rows:
        assert len(row) == width_of(sent.body)
        assert all(isinstance(number, float) for number in row)
        assert sum(number * number for number in row) == pytest.approx(1, abs=1e-5)


def base64_vectors(sent, body):
    """OpenAI's SDKs: little-endian float32, and a text, or the one for Node makes zeros of it."""
    packed = [base64.b64decode(item, validate=True) for item in openai_vectors(sent, body, str)]
    is_vectors([struct.unpack(f"<{width_of(sent.body)}f", item) for item in packed], sent)


def float_vectors(sent, body):
    is_vectors(openai_vectors(sent, body, list), sent)


def voyage_vectors(sent, body):
    """Of bytes where it asks for small numbers, of float32 where it asks for nothing."""
    size = 1 if sent.body["output_dtype"] == "int8" else 4
    packed = [base64.b64decode(item) for item in openai_vectors(sent, body, str)]
    assert {len(item) for item in packed} == {size * width_of(sent.body)}


def tei_vectors(sent, body):
    is_vectors(body, sent)


def chroma_dense_vectors(sent, body):
    is_vectors(body["embeddings"], sent)


def chroma_sparse_vectors(sent, body):
    assert len(body["embeddings"]) == len(sent.body["texts"])
    for one in body["embeddings"]:
        assert len(one["indices"]) == len(one["values"]) > 0
        assert one["indices"] == sorted(one["indices"])


def cohere_vectors(sent, body):
    assert body["response_type"] == "embeddings_floats"
    is_vectors(body["embeddings"], sent)
    assert body["texts"] == sent.body["texts"]
    assert body["meta"]["api_version"]["version"] == "1"


def cohere_vectors_by_type(sent, body):
    """An object of lists, which LiteLLM demands of every answer."""
    assert set(body["embeddings"]) == set(sent.body.get("embedding_types", ["float"]))
    is_vectors(body["embeddings"]["float"], sent)
    assert body["meta"]["billed_units"]["input_tokens"] > 0
    assert body["id"]


def ranks(sent, results, score, limit):
    """The best so many, best first, each once; all of them where nothing else is asked for."""
    documents = sent.body.get("documents", sent.body.get("texts"))
    scores = [result[score] for result in results]
    assert scores == sorted(scores, reverse=True)
    assert all(isinstance(one, float) for one in scores)
    indices = [result["index"] for result in results]
    assert len(indices) == min(limit or len(documents), len(documents))
    assert len(set(indices)) == len(indices)
    assert set(indices) <= set(range(len(documents)))


def text_of(document):
    return document if isinstance(document, str) else document.get("text")


def ranking(sent, body):
    ranks(sent, body["results"], "relevance_score", sent.body.get("top_n"))
    for result in body["results"]:
        if sent.body.get("return_documents"):
            assert result["document"]["text"] == text_of(sent.body["documents"][result["index"]])
        else:
            assert "document" not in result
    assert body["id"]
    assert body["meta"]["api_version"]["version"]
    assert body["meta"]["billed_units"]["search_units"] == 1
    assert body["usage"]["prompt_tokens"] == body["usage"]["total_tokens"] == body["meta"]["tokens"]["input_tokens"] > 0


def infinity_ranking(sent, body):
    ranks(sent, body["results"], "relevance_score", sent.body["top_n"])
    assert all(result["document"] == sent.body["documents"][result["index"]] for result in body["results"])
    assert body["usage"]["total_tokens"] >= body["usage"]["prompt_tokens"] > 0


def voyage_ranking(sent, body):
    ranks(sent, body["data"], "relevance_score", sent.body.get("top_k"))
    assert body["usage"]["total_tokens"] > 0
    assert body["object"] == "list"


def tei_ranking(sent, body):
    ranks(sent, body, "score", sent.body.get("top_n"))
    for rank in body:
        assert rank.get("text") == (sent.body["texts"][rank["index"]] if sent.body.get("return_text") else None)


def weaviate_ranking(sent, body):
    assert body["query"] == sent.body["query"]
    assert sorted(one["document"] for one in body["scores"]) == sorted(sent.body["documents"])
    assert body["scores"][0] == {"document": "b", "score": 1.0}


def a_model(model):
    assert {"id", "created", "owned_by"} <= set(model)
    assert model["object"] == "model"
    assert isinstance(model["created"], int)


def listed(_sent, body):
    assert body["object"] == "list"
    assert [a_model(model) for model in body["data"]]


def one_model(_sent, body):
    a_model(body)
    assert body["id"] == "BAAI/bge-m3"


def refused(body, code=None):
    """In a shape in which each of them finds its message."""
    assert body["error"]["message"] == body["message"] == body["detail"]
    assert body["error"]["type"] == "invalid_request_error"
    assert body["error"]["code"] == code


RULES = {
    "base64 vectors": (200, base64_vectors),
    "float vectors": (200, float_vectors),
    "voyage vectors": (200, voyage_vectors),
    "tei vectors": (200, tei_vectors),
    "chroma dense vectors": (200, chroma_dense_vectors),
    "chroma sparse vectors": (200, chroma_sparse_vectors),
    "cohere vectors": (200, cohere_vectors),
    "cohere vectors by type": (200, cohere_vectors_by_type),
    "ranking": (200, ranking),
    "infinity ranking": (200, infinity_ranking),
    "voyage ranking": (200, voyage_ranking),
    "tei ranking": (200, tei_ranking),
    "weaviate ranking": (200, weaviate_ranking),
    "models": (200, listed),
    "model": (200, one_model),
    "no such model": (404, lambda _, body: refused(body, "model_not_found")),
    "no such route": (404, lambda _, body: refused(body, "unknown_url")),
    "nothing to embed": (400, lambda _, body: refused(body)),
}


@pytest.fixture(scope="module")
def customer(running):
    """A tenant to whom every model that clients name is the one of the node."""
    made = running.caller()
    for name in NAMES:
        running.change(aliases.set_alias, made.tenant, name, running.model)
    return made


def send(gateway, sent, headers):
    content = b"" if sent.body == "" else json.dumps(sent.body).encode()
    return gateway.request(sent.method, sent.path, headers={"accept-encoding": "identity", **headers}, content=content)


def test_the_file_has_requests_for_every_rule():
    assert len(CAPTURED) > 130
    assert {sent.rule for sent in CAPTURED} == set(RULES)


@pytest.mark.parametrize("sent", CAPTURED, ids=lambda sent: f"{sent.case}: {sent.path}")
def test_the_client_finds_what_it_reads(gateway_under_test, customer, sent):
    shown = [name for name in CREDENTIALS if name in sent.headers]
    if not shown:
        assert send(gateway_under_test, sent, sent.headers).status_code == 401
    own = {name: CREDENTIAL.sub(customer.key, sent.headers[name]) for name in shown}
    reply = send(gateway_under_test, sent, {**sent.headers, **(own or customer.headers)})
    status, rule = RULES[sent.rule]
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/json"
    assert "content-encoding" not in reply.headers
    assert reply.headers["x-request-id"].startswith("req_")
    if sent.rule != "no such route":
        for unit in ("requests", "tokens"):
            limit, remaining, reset = (
                reply.headers[f"x-ratelimit-{what}-{unit}"] for what in ("limit", "remaining", "reset")
            )
            assert int(limit) >= int(remaining) > 0
            assert GO_DURATION.fullmatch(reset)
    rule(sent, reply.json())


def first_vector(body):
    if "data" in body:
        found = body["data"][0]["embedding"]
    else:
        rows = body["embeddings"]
        found = (rows["float"] if isinstance(rows, dict) else rows)[0]
    return base64.b64decode(found) if isinstance(found, str) else struct.pack(f"<{len(found)}f", *found)


@pytest.mark.parametrize(
    ("case", "read_as"),
    [
        ("chroma default_headers", "query: x"),
        ("chroma own EF: add -> __call__, query -> embed_query", "document: d"),
        ("chroma JinaEmbeddingFunction payload (api_url patched)", "retrieval.passage: a"),
        ("cohere v1 Client.embed", "query: a"),
        ("langchain-cohere CohereEmbeddings", "document: a"),
    ],
)
def test_what_a_client_says_of_its_texts_is_heard(gateway_under_test, customer, case, read_as):
    sent = next(sent for sent in CAPTURED if sent.case == case)
    body = send(gateway_under_test, sent, {**sent.headers, **customer.headers}).json()
    assert first_vector(body) == vector(read_as, WIDTH)
