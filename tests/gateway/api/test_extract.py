import pytest

MINI = "tests/mini"


def post(gateway, caller, body, path="/v1/extract"):
    return gateway.post(path, caller, json={"model": MINI, **body})


@pytest.mark.parametrize("path", ["/v1/extract", "/extract"])
def test_spans_are_characters_of_the_text_whatever_its_alphabet(gateway_under_test, caller, path):
    texts = ["🐟 naïve fish", "日本 fish, fish"]
    reply = post(gateway_under_test, caller, {"input": texts, "labels": ["fish", "日本"]}, path)
    body = reply.json()
    assert (body["object"], body["model"], body["id"]) == ("list", MINI, reply.headers["x-request-id"])
    assert [item["index"] for item in body["data"]] == [0, 1]
    assert body["data"][0]["entities"] == [{"start": 8, "end": 12, "text": "fish", "label": "fish", "score": 0.9}]
    assert [entity["label"] for entity in body["data"][1]["entities"]] == ["日本", "fish", "fish"]
    for text, item in zip(texts, body["data"], strict=True):
        assert all(text[found["start"] : found["end"]] == found["text"] for found in item["entities"])


def test_without_labels_the_model_has_its_own(gateway_under_test, caller):
    (item,) = post(gateway_under_test, caller, {"input": "a good dog"}).json()["data"]
    assert [found["label"] for found in item["entities"]] == ["good"]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": [1]}, "input"),
        ({"input": ["x"] * 5001}, "input"),
        ({"labels": []}, "labels"),
        ({"labels": [1]}, "labels"),
        ({"labels": [f"label {number}" for number in range(501)]}, "labels"),
        ({"threshold": -1}, "threshold"),
        ({"aggregation": "sometimes"}, "aggregation"),
        ({"flat": "yes"}, "flat"),
    ],
)
def test_a_bad_field_is_named(gateway_under_test, caller, change, param):
    reply = post(gateway_under_test, caller, {"input": "x", **change})
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == param


def test_usage_is_recorded(gateway_under_test, caller):
    post(gateway_under_test, caller, {"input": ["a b", "c"]}, "/extract")
    (row,) = gateway_under_test.usage(caller)
    assert (row.endpoint, row.inputs, row.tokens, row.status) == ("/v1/extract", 2, 7, 200)


def test_what_a_model_can_not_do_is_a_bad_request(gateway_under_test, caller):
    reply = post(gateway_under_test, caller, {"input": "__error task_unsupported__"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "task_unsupported")
