"""Embeddings and ranking by upstreams: as from engine nodes, whatever wire they speak, and nothing that is wrong."""

import struct

import pytest
from fake_upstream import KEY, score, tokens, vector

from gateway.services.register.sealing import Sealer
from gateway.services.register.upstreams import set_upstream_key

TEXTS = ["Herring swim in shoals.", "Cod", "naïve café 🐟", "x", "y", "z", "Cod"]


@pytest.fixture
def gateway(gateway_under_test):
    return gateway_under_test


def embed(gateway, caller, model, texts=TEXTS, **body):
    return gateway.post("/v1/embeddings", caller, json={"model": model, "input": texts, **body})


@pytest.mark.parametrize(("kind", "source"), [("openai", "mini"), ("openai", "floats"), ("tei", "tei")])
def test_vectors_come_in_order_with_the_upstreams_count_of_tokens(gateway, caller, upstream, kind, source):
    model = gateway.served_by(upstream, source, kind=kind)
    reply = embed(gateway, caller, model).json()
    for item, text in zip(reply["data"], TEXTS, strict=True):
        assert item["embedding"] == pytest.approx(vector(text), rel=1e-7)
    assert reply["model"] == model
    assert reply["usage"]["total_tokens"] == sum(map(tokens, TEXTS))
    (row,) = gateway.usage(caller)
    assert (row.tokens, row.inputs, row.status) == (sum(map(tokens, TEXTS)), len(TEXTS), 200)


def test_base64_is_the_same_bits(gateway, caller, upstream):
    model = gateway.served_by(upstream, "mini")
    reply = embed(gateway, caller, model, ["Cod"], encoding_format="base64").json()
    import base64

    assert list(struct.unpack("<8f", base64.b64decode(reply["data"][0]["embedding"]))) == vector("Cod")


def test_the_upstream_is_asked_in_its_own_words_and_told_nothing_of_the_caller(gateway, caller, upstream):
    model = gateway.served_by(upstream, "mini")
    body = {
        "model": model,
        "input": TEXTS,
        "user": "jane",
        "dimensions": 8,
        "input_type": "query",
        "api_base": "http://x",
    }
    assert gateway.post("/v1/embeddings", caller, json=body, headers={"x-api-base": "http://x"}).status_code == 200
    asked = upstream.last("/v1/embeddings")
    assert asked.body == {"model": "mini", "input": TEXTS, "encoding_format": "base64", "dimensions": 8}
    assert asked.headers.keys() <= {
        "host", "authorization", "content-type", "content-length", "accept-encoding", "user-agent", "traceparent",
        "x-request-id",
    }  # fmt: skip
    assert asked.headers["authorization"] == f"Bearer {KEY}"


def test_every_wire_of_embeddings_is_served(gateway, caller, upstream):
    model = gateway.served_by(upstream, "mini")
    tei = gateway.post("/embed", caller, json={"inputs": ["Cod"], "model": model}).json()
    cohere = gateway.post(
        "/v2/embed", caller, json={"texts": ["Cod"], "model": model, "input_type": "search_query"}
    ).json()
    assert tei[0] == pytest.approx(vector("Cod"), rel=1e-6)
    assert cohere["embeddings"]["float"][0] == pytest.approx(vector("Cod"), rel=1e-6)


def test_more_inputs_than_the_upstream_takes_go_in_parts(gateway, caller, upstream):
    model = gateway.served_by(upstream, "tei", kind="tei")
    texts = [f"text {number}" for number in range(11)]
    before = len(upstream.asked)
    reply = embed(gateway, caller, model, texts).json()
    assert [item["embedding"][0] for item in reply["data"]] == pytest.approx([vector(t)[0] for t in texts], rel=1e-6)
    parts = [len(a.body["inputs"]) for a in upstream.asked[before:] if a.path == "/embed"]
    assert sorted(parts) == [3, 4, 4]
    assert reply["usage"]["total_tokens"] == sum(map(tokens, texts))


@pytest.mark.parametrize(("kind", "source"), [("openai", "rank"), ("tei", "tei")])
def test_documents_are_ranked_as_the_upstream_has_it(gateway, caller, upstream, kind, source):
    model = gateway.served_by(upstream, source, kind=kind)
    body = {"model": model, "query": "fish", "documents": TEXTS, "top_n": 3}
    reply = gateway.post("/v1/rerank", caller, json=body).json()
    scores = [score("fish", text) for text in TEXTS]
    best = sorted(range(len(TEXTS)), key=lambda index: -scores[index])[:3]
    assert [(rank["index"], rank["relevance_score"]) for rank in reply["results"]] == [(i, scores[i]) for i in best]
    assert reply["usage"]["total_tokens"] > 0


@pytest.mark.parametrize(
    "source", ["few", "twice", "uneven", "hollow", "notnumber", "notbase64", "overpriced", "nojson"]
)
def test_a_reply_that_is_not_right_is_an_error_never_an_answer(gateway, caller, upstream, source):
    model = gateway.served_by(upstream, source)
    reply = embed(gateway, caller, model, ["a", "b"])
    assert (reply.status_code, reply.json()["error"]["type"]) == (500, "server_error")
    assert [row.tokens for row in gateway.usage(caller)] == [0]


@pytest.mark.parametrize("source", ["few", "twice", "nojson"])
def test_a_ranking_that_is_not_right_is_an_error(gateway, caller, upstream, source):
    body = {"model": gateway.served_by(upstream, source), "query": "q", "documents": ["a", "b"]}
    assert gateway.post("/v1/rerank", caller, json=body).status_code == 500


def test_a_reply_without_end_ends_at_the_limit(gateway, caller, upstream, monkeypatch):
    monkeypatch.setattr(gateway.services.upstreams.transport, "_reply_limit", 3 * 2**20)
    reply = embed(gateway, caller, gateway.served_by(upstream, "huge"))
    assert reply.status_code == 503
    assert gateway.embed(caller, {"input": "x"}).status_code == 200


def test_a_redirect_is_not_followed(gateway, caller, upstream):
    reply = embed(gateway, caller, gateway.served_by(upstream, "moved"))
    assert reply.status_code == 503
    assert "169.254" not in reply.text


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/embeddings", {"input": "x", "output_types": ["sparse"]}, "output_types"),
        ("/v1/embeddings", {"input": "x", "output_dtype": "int8"}, "output_dtype"),
        ("/v1/embeddings", {"input": "x", "task": "classification"}, "task"),
        ("/v1/rerank", {"query": "q", "documents": ["d"], "instruction": "i"}, "instruction"),
        ("/v1/classify", {"input": "x"}, "model"),
        ("/v1/extract", {"input": "x", "labels": ["a"]}, "model"),
    ],
)
def test_what_no_upstream_gives_is_refused_in_words(gateway, caller, upstream, path, body, param):
    model = gateway.served_by(upstream, "mini")
    reply = gateway.post(path, caller, json={"model": model, **body})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param)
    assert "server behind this model" in reply.json()["error"]["message"]


def test_a_width_that_the_upstream_does_not_keep_to_is_refused(gateway, caller, upstream):
    model = gateway.served_by(upstream, "tei", kind="tei")
    assert embed(gateway, caller, model, dimensions=4).status_code == 400
    assert (
        len(embed(gateway, caller, gateway.served_by(upstream, "mini"), dimensions=4).json()["data"][0]["embedding"])
        == 4
    )


def test_without_the_upstreams_count_the_length_of_the_texts_is_counted(gateway, caller, upstream):
    reply = embed(gateway, caller, gateway.served_by(upstream, "uncounted"), ["abcd" * 10, "x"])
    assert reply.json()["usage"]["total_tokens"] == 13
    assert reply.headers["x-shoal-usage"] == "estimated"
    assert "x-shoal-usage" not in embed(gateway, caller, gateway.served_by(upstream, "mini")).headers


def test_quotas_and_allowlists_hold_in_front_of_upstreams(gateway, upstream):
    model = gateway.served_by(upstream, "mini")
    assert embed(gateway, gateway.caller(allow=("tests/*",)), model).status_code == 404
    limited = gateway.caller(requests=1)
    assert [embed(gateway, limited, model).status_code for _ in range(2)] == [200, 429]
    poor = gateway.caller(tokens=10)
    asked = len(upstream.asked)
    assert embed(gateway, poor, model, ["x" * 100]).status_code == 400
    assert not [a for a in upstream.asked[asked:] if a.method == "POST"]


def test_a_key_that_this_gateway_can_not_read_closes_its_upstream_and_nothing_else(gateway, caller, upstream):
    made = gateway.upstream("up-unreadable", upstream.url, key=KEY)
    gateway.change(set_upstream_key, made.id, KEY, Sealer(b"q" * 32))
    gateway.wait_until(lambda: not next(iter(gateway.services.nodes.pools["up-unreadable"])).health.well)

    def reason():
        (node,) = gateway.services.nodes.pools["up-unreadable"]
        return node.failure

    gateway.wait_until(lambda: "another secret key" in (reason() or ""))
    assert gateway.embed(caller, {"input": "x"}).status_code == 200
    assert embed(gateway, caller, gateway.served_by(upstream, "mini")).status_code == 200


def test_another_shoal_behind_a_pool_gives_the_same_bits(gateway, caller):
    behind = gateway.caller()
    pool = "up-shoal"
    gateway.upstream(pool, gateway.url, key=behind.key)
    from gateway.services.register import models

    gateway.change(models.add_model, models.NewModel(id="up/shoal", source=gateway.model, pool=pool))
    through = embed(gateway, caller, "up/shoal", encoding_format="base64").json()
    direct = embed(gateway, caller, gateway.model, encoding_format="base64").json()
    assert through["data"] == direct["data"]
    assert through["usage"] == direct["usage"]
    assert [row.tokens for row in gateway.usage(behind)] == [row.tokens for row in gateway.usage(caller)][:1]
