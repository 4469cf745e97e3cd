"""What text-embeddings-inference has beside vectors and rankings: tokens, labels, what it is and how it is."""

import pytest

from gateway.services.register import models
from gateway.services.register.model_facts import ModelFacts


def post(gateway, caller, path, **body):
    return gateway.post(path, caller, json=body)


def test_tokens_are_shown_with_their_places(gateway_under_test, caller):
    reply = post(gateway_under_test, caller, "/tokenize", inputs="né bb")
    assert reply.json() == [
        [
            {"id": 1, "text": "[CLS]", "special": True, "start": None, "stop": None},
            {"id": 2, "text": "né", "special": False, "start": 0, "stop": 2},
            {"id": 2, "text": "bb", "special": False, "start": 3, "stop": 5},
            {"id": 2, "text": "[SEP]", "special": True, "start": None, "stop": None},
        ]
    ]
    bare = post(gateway_under_test, caller, "/tokenize", inputs=["a", ""], add_special_tokens=False, model="mini")
    assert [[token["text"] for token in tokens] for tokens in bare.json()] == [["a"], []]


def test_tokens_that_are_shown_cost_a_request_and_no_tokens(gateway_under_test):
    limited = gateway_under_test.caller(requests=1, tokens=1)
    assert post(gateway_under_test, limited, "/tokenize", inputs=["many words " * 50]).status_code == 200
    assert post(gateway_under_test, limited, "/tokenize", inputs="x").status_code == 429
    (row,) = gateway_under_test.usage(limited)
    assert (row.endpoint, row.inputs, row.tokens) == ("/tokenize", 1, 0)


def test_tokens_of_a_forbidden_model_are_not_shown(gateway_under_test):
    narrow = gateway_under_test.caller(allow=["tests/mini"])
    assert post(gateway_under_test, narrow, "/tokenize", inputs="x", model="tests/secret").status_code == 404


@pytest.mark.parametrize(
    ("inputs", "shape"),
    [
        ("good", 1),
        (["good"], 1),
        (["good", "bad"], 1),
        ([["good"]], [1]),
        ([["good"], ["good", "bad"]], [1, 1]),
    ],
)
def test_predictions_have_the_shape_of_their_inputs(gateway_under_test, caller, inputs, shape):
    reply = post(gateway_under_test, caller, "/predict", inputs=inputs, raw_scores=False, truncate=True)
    assert reply.status_code == 200, reply.text
    predictions = reply.json()
    lists = predictions if isinstance(shape, list) else [predictions]
    assert len(lists) == (len(shape) if isinstance(shape, list) else 1)
    for one in lists:
        assert {prediction["label"] for prediction in one} == {"good", "bad"}
        assert [prediction["score"] for prediction in one] == sorted((p["score"] for p in one), reverse=True)
    assert lists[0][0]["label"] == "good"


@pytest.mark.parametrize("inputs", [None, [], [[]], ["a", "b", "c"], [["a", "b", "c"]], ["a", ["b"]], [["a"], "b"], 7])
def test_what_can_not_be_labelled_is_refused(gateway_under_test, caller, inputs):
    reply = post(gateway_under_test, caller, "/predict", inputs=inputs)
    assert reply.status_code == 400
    assert "inputs" in reply.json()["error"]


def test_info_is_about_the_default_model_or_the_one_that_is_named(gateway_under_test, caller):
    info = gateway_under_test.request("GET", "/info", caller).json()
    assert (info["model_id"], info["max_input_length"], info["max_client_batch_size"]) == ("tests/mini", 512, 5000)
    assert info["model_type"] == {"embedding": {}}
    facts = ModelFacts(tasks=("classify",), outputs=("scores",), labels=("bad", "good"))
    gateway_under_test.change(models.add_model, models.NewModel(id="tests/labels", facts=facts))
    try:
        named = gateway_under_test.request("GET", "/info?model=tests%2Flabels", caller).json()
    finally:
        gateway_under_test.change(models.remove_model, "tests/labels")
    labels = {"id2label": {"0": "bad", "1": "good"}, "label2id": {"bad": 0, "good": 1}}
    assert (named["model_id"], named["model_type"]) == ("tests/labels", {"classifier": labels})


def test_info_of_a_model_that_may_not_be_used_is_no_info(gateway_under_test):
    narrow = gateway_under_test.caller(allow=["tests/secret"])
    reply = gateway_under_test.request("GET", "/info", narrow)
    assert (reply.status_code, set(reply.json())) == (404, {"error", "error_type"})
    assert gateway_under_test.request("GET", "/info?model=tests/secret", narrow).status_code == 200
    assert gateway_under_test.request("GET", "/info").status_code == 401


def test_health_is_what_readiness_says(gateway_under_test):
    health, ready = (gateway_under_test.request("GET", path) for path in ("/health", "/health/ready"))
    assert (health.status_code, health.json()) == (200, ready.json())


def test_this_gateway_is_an_upstream_to_another_as_tei(gateway_under_test, caller):
    """The other side of the wire is our own too: what it reads of `/info` and `/embed` is what is said here."""
    upstream = gateway_under_test.upstream("ourselves", gateway_under_test.url, kind="tei", key=caller.key)
    new = models.NewModel(id="tests/through", source="tests/mini", pool="ourselves")
    gateway_under_test.change(models.add_model, new)
    try:
        asked = {"model": "tests/through", "input": ["a", "b c"]}
        there = gateway_under_test.post("/v1/embeddings", caller, json=asked)
        assert there.status_code == 200, there.text
        here = gateway_under_test.embed(caller, {"input": ["a", "b c"]})
        assert there.json()["data"] == here.json()["data"]
    finally:
        gateway_under_test.forget_upstreams()
    assert upstream.id
    assert "x-shoal-usage" not in there.headers, "the tokens are said, not guessed"
    assert there.json()["usage"] == here.json()["usage"]
