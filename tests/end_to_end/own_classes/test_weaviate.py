"""Weaviate: no server of it can be had here, so its modules' requests are made as its sources make them.

The modules' settings are what Weaviate's own client would send for Shoal's settings. Sources: weaviate/weaviate,
usecases/modulecomponents/clients/{openai,cohere} and modules/reranker-cohere/clients/ranker.go.
"""

import json
import re
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from labelled import MODEL, WORDS

pytestmark = pytest.mark.timeout(300)  # the first test starts the server, and libraries are slow to import

ROW = "Weaviate (its modules' requests)"
ALIAS = "text-embedding-3-small"
DURATION = re.compile(r"([0-9]+(\.[0-9]+)?(h|m|s|ms|us|µs|ns))+")
"""What Go's time.ParseDuration takes, but for signs."""


def go_json(body):
    """json.Marshal: no spaces, and what HTML reads is escaped."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text.encode()


def openai_request(config, texts, key):
    """text2vec-openai: url.JoinPath cleans the path, and `dimensions` goes with OpenAI's new names alone."""
    body = {"input": texts, "model": config["model"]}
    if "dimensions" in config and config["model"] in {"text-embedding-3-small", "text-embedding-3-large"}:
        body["dimensions"] = config["dimensions"]
    parts = urlsplit(config["baseURL"])
    url = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}/v1/embeddings"
    sent = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    return url, go_json(body), sent


def cohere_request(config, texts, key, input_type):
    """text2vec-cohere: fmt.Sprintf("%s%s", baseURL, "/v2/embed"), whatever the address ends with."""
    body = {"texts": texts, "model": config["model"], "input_type": input_type, "embedding_types": ["float"]}
    body["truncate"] = config.get("truncate", "END")
    sent = {
        "Authorization": f"Bearer {key}",
        "Accept": "application/json",
        "Content-Type": "application/json",
        "Request-Source": "unspecified:weaviate",
    }
    return f"{config['baseURL']}/v2/embed", go_json(body), sent


def rerank_request(config, query, documents, key):
    """reranker-cohere: every field is sent, and no `top_n`."""
    body = {"documents": documents, "query": query, "model": config["model"], "return_documents": False}
    sent = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    return f"{config['baseURL']}/v2/rerank", go_json(body), sent | {"Request-Source": "unspecified:weaviate"}


def replay(url, body, headers):
    return httpx.post(url, content=body, headers={"User-Agent": "Go-http-client/1.1", **headers}, timeout=60)


def read_openai(reply):
    """As its structs read it. A vector is a list of numbers: nothing else can be read into []float32."""
    body = reply.json()
    assert reply.status_code == 200
    assert body.get("error") is None
    assert isinstance(body["usage"]["total_tokens"], int)
    vectors = [item["embedding"] for item in body["data"]]
    assert all(isinstance(value, float) for vector in vectors for value in vector)
    return vectors


@pytest.fixture(scope="module")
def modules(take, of_server, server):
    server.shoal("alias", "set", ALIAS, "dense", "--tenant", "default")
    server.until(lambda: server.get(f"/v1/models/{ALIAS}", server.api_key).status_code == 200, "the alias is known")
    return {
        model: take("databases/with_weaviate.py", "modules", alias=ALIAS, **of_server(model))
        for model in ("dense", MODEL)
    }


def test_settings_name_the_server_and_the_model_and_no_key(modules, server):
    for name in ("text2vec-openai", "text2vec-cohere", "reranker-cohere"):
        config = modules["dense"][name]
        assert config["baseURL"].rstrip("/") == server.url
        assert config["model"] == "dense"
        assert server.api_key not in str(config)
        assert config.get("vectorizeClassName") in (None, False)
    assert modules["dense"]["headers with the key"] == ["X-Cohere-Api-Key", "X-OpenAI-Api-Key"]


def test_text2vec_openai(modules, vectors, server, works):
    """Queries and documents alike."""
    for model in ("dense", MODEL):
        request = openai_request(modules[model]["text2vec-openai"], ["w5 <b> & w6", *WORDS], server.api_key)
        found = read_openai(replay(*request))
        assert np.allclose(found, vectors(["w5 <b> & w6", *WORDS], model, None), atol=1e-5)
    works(ROW, "asks Shoal by itself", how="`text2vec-openai`")


def test_text2vec_openai_shortens_under_a_name_of_openais(modules, vectors, server):
    config = modules["dense"]["text2vec-openai, shortened"]
    found = read_openai(replay(*openai_request(config, WORDS, server.api_key)))
    cut = np.array(vectors(WORDS, "dense", None))[:, :8]
    assert np.allclose(found, cut / np.linalg.norm(cut, axis=1, keepdims=True), atol=1e-5)


def test_its_batches_are_paced_by_headers_that_go_reads(modules, server):
    reply = replay(*openai_request(modules["dense"]["text2vec-openai"], WORDS, server.api_key))
    for unit in ("requests", "tokens"):
        assert int(reply.headers[f"x-ratelimit-limit-{unit}"]) > 0
        assert int(reply.headers[f"x-ratelimit-remaining-{unit}"]) >= 0
        assert DURATION.fullmatch(reply.headers[f"x-ratelimit-reset-{unit}"])


def test_text2vec_cohere_tells_queries_from_documents(modules, vectors, server, works):
    config, key = modules["dense"]["text2vec-cohere"], server.api_key
    for said, meant in (("search_document", "document"), ("search_query", "query")):
        reply = replay(*cohere_request(config, WORDS, key, said))
        assert reply.status_code == 200
        assert np.allclose(reply.json()["embeddings"]["float"], vectors(WORDS, "dense", meant), atol=1e-5)
    works(ROW, "queries as queries", how="`text2vec-cohere`")


def test_reranker_cohere_gets_a_score_for_every_document(modules, ranks, server, works):
    config, key = modules[MODEL]["reranker-cohere"], server.api_key
    documents = ["hens", "cods", "trout"]
    reply = replay(*rerank_request(config, "fishing", documents, key))
    results = reply.json()["results"]
    assert sorted(one["index"] for one in results) == [0, 1, 2], "Go puts them into a list of that length"
    assert [(documents[one["index"]], one["relevance_score"]) for one in results] == ranks("fishing", documents)
    works(ROW, "reranks", how="`reranker-cohere`")


@pytest.mark.parametrize("module", ["text2vec-openai", "text2vec-cohere", "reranker-cohere"])
def test_errors_are_read_by_their_message(modules, module, server):
    config = {**modules["dense"][module], "model": "no-such-model"}
    key = server.api_key
    request = {
        "text2vec-openai": lambda: openai_request(config, ["a"], key),
        "text2vec-cohere": lambda: cohere_request(config, ["a"], key, "search_query"),
        "reranker-cohere": lambda: rerank_request(config, "q", ["a"], key),
    }[module]()
    reply = replay(*request)
    assert reply.status_code == 404
    body = reply.json()
    assert "no-such-model" in (body["error"]["message"] if module == "text2vec-openai" else body["message"])
    assert isinstance(body["error"]["code"], str | int | None)
    assert reply.headers["x-request-id"]


def test_objects_bring_their_own_vectors(take_all, of_server, vectors, server, works):
    rows = [{"title": "w5", "text": "w6 w7"}, {"title": None, "text": "w20"}]
    asked = of_server("dense") | {"rows": rows, "properties": ["title", "text"]}
    plain, named, multi = take_all(
        "databases/with_weaviate.py",
        ("objects", asked),
        ("objects", asked | {"name": "shoal"}),
        ("objects", of_server("multi") | {"rows": rows, "multi": True}),
    )
    document = vectors(["w5\nw6 w7", "w20"], "dense", "document")
    assert [properties for properties, _ in plain["objects"]] == rows
    assert np.allclose([vector for _, vector in plain["objects"]], document, atol=1e-5)
    assert np.allclose([vector["shoal"] for _, vector in named["objects"]], document, atol=1e-5)
    assert np.allclose(plain["query"], vectors(["w6 w7"], "dense", "query")[0], atol=1e-5)
    for (_, vector), truth in zip(
        multi["objects"], vectors(["w6 w7", "w20"], "multi", "document", "multi"), strict=True
    ):
        assert np.allclose(vector, truth, atol=1e-5)
    assert server.api_key not in plain["repr"]
    works(ROW, "multi-vector", how="objects bring their own")
