import pytest

MINI = "tests/mini"
BODY = {"model": MINI, "query": "red fish", "documents": ["blue bird", "red fish", "red bird"]}


@pytest.mark.parametrize(
    "path", ["/v1/rerank", "/v2/rerank", "/rerank", "/v1/v2/rerank", "/v1/v1/rerank", "/v2/v2/rerank"]
)
def test_every_path_gives_the_superset_best_first(gateway_under_test, caller, path):
    reply = gateway_under_test.post(path, caller, json=BODY)
    assert reply.status_code == 200
    body = reply.json()
    assert [result["index"] for result in body["results"]] == [1, 2, 0]
    scores = [result["relevance_score"] for result in body["results"]]
    assert scores == sorted(scores, reverse=True)
    assert (body["object"], body["model"], body["usage"]) == (
        "list",
        MINI,
        {"prompt_tokens": 16, "total_tokens": 16},
    )
    assert body["meta"] == {
        "api_version": {"version": "2"},
        "billed_units": {"search_units": 1},
        "tokens": {"input_tokens": 16},
    }
    assert body["id"] == reply.headers["x-request-id"]
    assert not any("document" in result for result in body["results"])


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ({"top_n": 1}, 1),
        ({"top_k": 2}, 2),
        ({"top_n": 0}, 3),
        ({"top_n": None}, 3),
        ({"top_n": 99}, 3),
        ({}, 3),
    ],
)
def test_the_best_so_many_are_given(gateway_under_test, caller, limit, expected):
    results = gateway_under_test.post("/v1/rerank", caller, json=BODY | limit).json()["results"]
    assert [result["index"] for result in results] == [1, 2, 0][:expected]


@pytest.mark.parametrize("marker", [{"top_k": 2}, {"truncation": True}, {}])
def test_voyages_clients_find_their_data(gateway_under_test, caller, marker):
    body = gateway_under_test.post("/v1/rerank", caller, json=BODY | marker).json()
    assert body["data"] == body["results"]


def test_the_others_are_not_sent_everything_twice(gateway_under_test, caller):
    assert "data" not in gateway_under_test.post("/v1/rerank", caller, json=BODY | {"top_n": 2}).json()


def test_documents_come_back_as_texts_to_litellms_client_of_infinity(gateway_under_test, caller):
    sent = BODY | {"return_documents": True, "top_n": 2}
    results = gateway_under_test.post("/infinity/rerank", caller, json=sent).json()["results"]
    assert [result["document"] for result in results] == ["red fish", "red bird"]
    sent = BODY | {"return_documents": False}
    assert "document" not in gateway_under_test.post("/infinity/rerank", caller, json=sent).json()["results"][0]


def test_weaviates_own_reranker_finds_its_scores(gateway_under_test, caller):
    reply = gateway_under_test.post("/rerank", caller, json=BODY | {"property": ""})
    assert reply.json() == {
        "query": "red fish",
        "scores": [
            {"document": "red fish", "score": 1.0},
            {"document": "red bird", "score": 1 / 3},
            {"document": "blue bird", "score": 0.0},
        ],
    }
    refused = gateway_under_test.post("/rerank", caller, json=BODY | {"property": "", "documents": 7})
    assert isinstance(refused.json()["error"], str)


def test_a_picture_is_no_text(gateway_under_test, caller):
    reply = gateway_under_test.post("/v1/rerank", caller, json=BODY | {"documents": [{"image": "https://example.com"}]})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "documents")


def test_documents_come_back_as_objects_when_asked_for(gateway_under_test, caller):
    body = gateway_under_test.post("/v1/rerank", caller, json=BODY | {"return_documents": True}).json()
    assert body["results"][0]["document"] == {"text": "red fish"}


def test_documents_may_be_objects(gateway_under_test, caller):
    documents = [{"text": "blue bird"}, {"title": "red", "body": "fish"}, "nothing"]
    sent = BODY | {"documents": documents, "return_documents": True, "max_tokens_per_doc": None, "priority": 1}
    results = gateway_under_test.post("/v2/rerank", caller, json=sent).json()["results"]
    assert {result["index"]: result["document"]["text"] for result in results} == {
        0: "blue bird",
        1: "title: red\nbody: fish",
        2: "nothing",
    }


def test_rank_fields_choose_the_text(gateway_under_test, caller):
    sent = {**BODY, "documents": [{"a": "red", "b": {"n": 1}, "c": "x"}], "rank_fields": ["b", "a", "missing"]}
    sent["return_documents"] = True
    results = gateway_under_test.post("/v1/rerank", caller, json=sent).json()["results"]
    assert results[0]["document"]["text"] == 'b: {"n":1}\na: red'


def test_texts_get_teis_bare_list(gateway_under_test, caller):
    sent = {"query": "red fish", "texts": ["blue bird", "red fish"], "raw_scores": False, "truncate": True}
    reply = gateway_under_test.post("/rerank", caller, json=sent)
    assert [rank["index"] for rank in reply.json()] == [1, 0]
    assert all(set(rank) == {"index", "score"} for rank in reply.json())
    with_text = gateway_under_test.post("/rerank", caller, json=sent | {"return_text": True}).json()
    assert [rank["text"] for rank in with_text] == ["red fish", "blue bird"]


def test_teis_wire_says_in_a_header_what_it_took(gateway_under_test, caller):
    sent = {"query": "red fish", "texts": ["blue bird", "red fish"]}
    assert gateway_under_test.post("/rerank", caller, json=sent).headers["x-compute-tokens"] == "12"
    assert gateway_under_test.post("/embed", caller, json={"inputs": "a b"}).headers["x-compute-tokens"] == "4"
    assert gateway_under_test.post("/predict", caller, json={"inputs": "a b"}).headers["x-compute-tokens"] == "4"


def test_teis_errors_have_teis_shape(gateway_under_test, caller):
    reply = gateway_under_test.post("/rerank", caller, json={"query": "q", "texts": []})
    assert reply.status_code == 400
    assert set(reply.json()) == {"error", "error_type"}
    assert isinstance(reply.json()["error"], str)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"query": None}, "query"),
        ({"documents": None}, "documents"),
        ({"documents": []}, "documents"),
        ({"documents": [1]}, "documents"),
        ({"top_n": -1}, "top_n"),
        ({"documents": ["x"] * 5001}, "documents"),
    ],
)
def test_a_bad_field_is_named(gateway_under_test, caller, change, param):
    reply = gateway_under_test.post("/v1/rerank", caller, json=BODY | change)
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == param


def test_search_units_count_hundreds_of_documents(gateway_under_test, caller):
    body = gateway_under_test.post("/v1/rerank", caller, json=BODY | {"documents": ["x"] * 101}).json()
    assert body["meta"]["billed_units"]["search_units"] == 2
    assert len(body["results"]) == 101


def test_usage_counts_documents_and_tokens(gateway_under_test, caller):
    gateway_under_test.post("/v2/rerank", caller, json=BODY)
    (row,) = gateway_under_test.usage(caller)
    assert (row.endpoint, row.inputs, row.tokens, row.status) == ("/v1/rerank", 3, 16, 200)
