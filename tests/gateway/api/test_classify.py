import pytest

MINI = "tests/mini"


def post(gateway, caller, body, path="/v1/classify"):
    return gateway.post(path, caller, json={"model": MINI, **body})


def scores(item):
    return {fit["label"]: fit["score"] for fit in item["predictions"]}


@pytest.mark.parametrize("path", ["/v1/classify", "/classify"])
def test_vllm_and_jina_find_their_keys(gateway_under_test, caller, path):
    reply = post(gateway_under_test, caller, {"input": ["red fish", "blue bird"], "labels": ["blue", "red"]}, path)
    body = reply.json()
    assert (body["object"], body["model"], body["id"]) == ("list", MINI, reply.headers["x-request-id"])
    assert body["usage"] == {"prompt_tokens": 8, "total_tokens": 8}
    assert body["data"][0] == {
        "object": "classification",
        "index": 0,
        "label": "red",
        "score": 0.5,
        "prediction": "red",
        "predictions": [{"label": "red", "score": 0.5}, {"label": "blue", "score": 0.0}],
        "num_classes": 2,
        "probs": [0.0, 0.5],
    }
    assert body["data"][1]["label"] == "blue"
    assert "classifications" not in body


def test_cohere_finds_its_own(gateway_under_test, caller):
    body = post(gateway_under_test, caller, {"inputs": ["red fish"], "labels": ["blue", "red"]}).json()
    (item,) = body["classifications"]
    assert item | {"id": ""} == {
        "id": "",
        "input": "red fish",
        "prediction": "red",
        "predictions": ["red"],
        "confidence": 0.5,
        "confidences": [0.5],
        "labels": {"red": {"confidence": 0.5}, "blue": {"confidence": 0.0}},
        "classification_type": "single-label",
    }
    several = post(
        gateway_under_test, caller, {"inputs": ["red fish"], "labels": ["blue", "red"], "multi_label": True}
    ).json()["classifications"][0]
    assert (several["classification_type"], several["predictions"]) == ("multi-label", ["red", "blue"])


def test_without_labels_the_model_has_its_own(gateway_under_test, caller):
    (item,) = post(gateway_under_test, caller, {"input": "good dog"}).json()["data"]
    assert scores(item) == {"good": 0.5, "bad": 0.0}


@pytest.mark.parametrize(
    "source",
    ["red fish", ["red fish"], [{"text": "red fish"}], [["red fish"]], [["red", "fish"]]],
    ids=["text", "texts", "Jina's objects", "TEI's list", "pair"],
)
def test_every_shape_of_input_is_one(gateway_under_test, caller, source):
    (item,) = post(gateway_under_test, caller, {"input": source, "labels": ["red"]}).json()["data"]
    assert scores(item) == {"red": 0.5}


def test_the_best_above_the_threshold(gateway_under_test, caller):
    asked = {"input": "red fish", "labels": ["red", "fish", "bird"]}
    (few,) = post(gateway_under_test, caller, asked | {"top_k": 1}).json()["data"]
    assert (scores(few), "probs" in few, few["num_classes"]) == ({"red": 0.5}, False, 3)
    (none,) = post(gateway_under_test, caller, asked | {"threshold": 0.9}).json()["data"]
    assert (none["label"], none["score"], none["predictions"]) == (None, None, [])


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": [1]}, "input"),
        ({"input": [[]]}, "input"),
        ({"input": [["a", "b", "c"]]}, "input"),
        ({"input": ["x"] * 5001}, "input"),
        ({"input": None, "inputs": []}, "inputs"),
        ({"labels": []}, "labels"),
        ({"labels": "red"}, "labels"),
        ({"labels": [f"label {number}" for number in range(501)]}, "labels"),
        ({"threshold": 2}, "threshold"),
        ({"top_k": 0}, "top_k"),
    ],
)
def test_a_bad_field_is_named(gateway_under_test, caller, change, param):
    reply = post(gateway_under_test, caller, {"input": "x", **change})
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == param


def test_usage_is_recorded(gateway_under_test, caller):
    post(gateway_under_test, caller, {"input": ["a b", "c"], "labels": ["x"]}, "/classify")
    (row,) = gateway_under_test.usage(caller)
    assert (row.endpoint, row.inputs, row.tokens, row.status) == ("/v1/classify", 2, 7, 200)


def test_what_a_model_can_not_do_is_a_bad_request(gateway_under_test, caller):
    reply = post(gateway_under_test, caller, {"input": "__error task_unsupported__"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "task_unsupported")
