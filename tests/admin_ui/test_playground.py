import json
import re
import subprocess
import sys
from dataclasses import replace
from html import unescape

import pytest

from admin_ui.findings import matrix_of, outcome_of, pieces_of
from admin_ui.ports import ApiAnswer
from admin_ui.snippets import Call, request_snippets
from gateway.services.register.model_facts import ModelFacts
from gateway.services.snapshot.entries import PolicySnapshot

HEADERS = {"x-request-id": "req_7", "x-ratelimit-remaining-requests": "9", "x-ratelimit-remaining-tokens": "1000000000"}


class Api:
    """Notes what it is asked, and answers what it was told to."""

    def __init__(self) -> None:
        self.asked = []
        self.status = 200
        self.says: object = {"data": []}

    async def __call__(self, question):
        self.asked.append(question)
        body = self.says if isinstance(self.says, bytes) else json.dumps(self.says).encode()
        return ApiAnswer(self.status, HEADERS, body, 0.0123)


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def console(console_at, api, make_model):
    console = console_at(ask=api)
    models = {}
    for task in ("embed", "rerank", "classify", "extract"):
        models[f"acme/{task}"] = replace(make_model(f"acme/{task}"), facts=ModelFacts(tasks=(task,)))
    console.services.feed.current = PolicySnapshot(models=models)
    return console


def url(console, rest: str = "/playground", tenant: str = "acme") -> str:
    return f"/admin/tenants/{console.tenant_id(tenant)}{rest}"


def send(console, rest: str, csrf_token: str, **fields):
    return console.client.post(url(console, rest), data={"csrf_token": csrf_token, **fields})


def allow_all(console) -> str:
    """Acme may use every model; returns the token of ada's session."""
    token = console.become("ada")
    page = console.client.get(url(console, "/models")).text
    version = console.hidden(page, "version")
    assert send(console, "/models", token, version=version, allow="*", deny="").status_code == 303
    return token


EMBED = {"task": "embed", "model": "acme/embed", "key": "", "texts": "one\n\n two ", "kind": "", "dimensions": ""}


def test_texts_are_embedded_in_the_tenants_name_and_shown_beside_each_other(console, api) -> None:
    token = allow_all(console)
    api.says = {"data": [{"embedding": [3.0, 4.0]}, {"embedding": [4.0, 3.0]}], "usage": {"total_tokens": 7}}
    page = send(console, "/playground", token, **EMBED).text
    [asked] = api.asked
    assert (asked.tenant_id, asked.key_id, asked.path) == (console.tenant_id("acme"), None, "/v1/embeddings")
    assert json.loads(asked.body) == {"model": "acme/embed", "input": ["one", "two"]}
    assert re.findall(r'<td class="h(\d+)">([0-9.]+)</td>', page) == [
        ("10", "1.00"),
        ("10", "0.96"),
        ("10", "0.96"),
        ("10", "1.00"),
    ]
    assert "<dd>7</dd>" in page
    assert re.search(r"<dd>12(\.3)?\sms</dd>", page)
    assert ("Requests left" in page, "Tokens left" in page) == (True, False)
    assert asked.body.decode() in unescape(page)  # the very request, as code


def test_what_may_be_left_out_is_said_when_somebody_says_it(console, api) -> None:
    token = allow_all(console)
    send(console, "/playground", token, **EMBED | {"kind": "query", "dimensions": "64"})
    assert json.loads(api.asked[-1].body) | {"input": []} == {
        "model": "acme/embed",
        "input": [],
        "input_type": "query",
        "dimensions": 64,
    }
    fields = {"task": "extract", "model": "acme/extract", "texts": "a\r\nb", "labels": "x\r\ny\r\nx", "threshold": "0"}
    send(console, "/playground", token, **fields)
    assert json.loads(api.asked[-1].body) == {
        "model": "acme/extract",
        "input": ["a\nb"],
        "labels": ["x", "y"],
        "threshold": 0.0,
    }


def test_documents_are_ranked_and_texts_classified(console, api) -> None:
    token = allow_all(console)
    api.says = {"results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}]}
    fields = {"task": "rerank", "model": "acme/rerank", "query": "who?", "texts": "first\nsecond <b>"}
    page = send(console, "/playground", token, **fields).text
    assert page.index("0.9000") < page.index("0.1000")
    assert "second &lt;b&gt;</span>" in page
    api.says = {"data": [{"predictions": [{"label": "praise", "score": 0.75}]}, {"predictions": []}]}
    fields = {"task": "classify", "model": "acme/classify", "texts": "good\nwell", "labels": "praise", "several": "on"}
    page = send(console, "/playground", token, **fields).text
    assert json.loads(api.asked[-1].body)["multi_label"] is True
    assert ("praise</span>" in page, "No label fits" in page) == (True, True)


def test_what_is_found_is_marked_where_it_stands(console, api) -> None:
    token = allow_all(console)
    found = {"start": 0, "end": 3, "label": "<person>", "score": 0.987}
    api.says = {"data": [{"entities": [found]}]}
    fields = {"task": "extract", "model": "acme/extract", "texts": "Ada lived.", "labels": ""}
    page = send(console, "/playground", token, **fields).text
    assert '<mark class="s0">Ada <small>&lt;person&gt; 0.99</small></mark> lived.' in page


@pytest.mark.parametrize(
    ("status", "says", "said"),
    [
        (
            429,
            {"error": {"message": "Rate limit <reached>", "code": "rate_limit_exceeded"}},
            "Rate limit &lt;reached&gt;",
        ),
        (404, {"error": {"message": "no such model", "code": None, "type": "x"}}, "no such model"),
        (502, b"<html>bad gateway</html>", "&lt;html&gt;bad gateway"),
        (500, b"", "The API said nothing."),
        (200, b"[]", "[]"),
    ],
)
def test_what_the_api_refuses_is_said_in_its_words(console, api, status, says, said) -> None:
    token = allow_all(console)
    api.status, api.says = status, says
    answer = send(console, "/playground", token, **EMBED)
    assert answer.status_code == 200
    assert said in answer.text
    assert f"{status} refused" in answer.text


def test_a_key_is_one_of_the_tenants_that_work(console, api) -> None:
    token = allow_all(console)
    send(console, "/keys", token, name="mine", expires="")
    console.client.post(url(console, "/keys", "zenith"), data={"csrf_token": token, "name": "theirs", "expires": ""})
    [mine] = re.findall(r"sk-shoal-([a-z0-9]{12})-…", console.client.get(url(console)).text)
    [theirs] = set(re.findall(r"sk-shoal-([a-z0-9]{12})-…", console.client.get(url(console, "/keys", "zenith")).text))
    send(console, "/playground", token, **EMBED | {"key": mine})
    assert [one.key_id for one in api.asked] == [mine]
    for wrong in (theirs, "playground", "x"):
        answer = send(console, "/playground", token, **EMBED | {"key": wrong})
        assert (answer.status_code, "Choose a key of this tenant" in answer.text) == (422, True)
    send(console, f"/keys/{mine}/revocation", token)
    assert send(console, "/playground", token, **EMBED | {"key": mine}).status_code == 422
    assert len(api.asked) == 1


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        (
            {"task": "embed", "texts": " \n", "kind": "x", "dimensions": "many"},
            ["model", "texts", "kind", "dimensions"],
        ),
        ({"task": "embed", "texts": "a\n" * 17, "model": "m", "kind": ""}, ["texts"]),
        ({"task": "rerank", "texts": "", "query": ""}, ["model", "query", "texts"]),
        ({"task": "extract", "texts": "", "model": "m", "threshold": "2"}, ["texts", "threshold"]),
    ],
)
def test_a_form_with_wrong_fields_says_all_of_it_and_asks_nothing(console, api, fields, wrong) -> None:
    token = allow_all(console)
    answer = send(console, "/playground", token, **fields)
    assert answer.status_code == 422
    assert sorted(re.findall(r'class="error" id="(\w+)-error"', answer.text)) == sorted(wrong)
    assert api.asked == []


def test_each_task_offers_the_models_that_can_do_it(console) -> None:
    allow_all(console)
    for task in ("embed", "rerank", "classify", "extract"):
        page = console.client.get(url(console, f"/playground?task={task}")).text
        assert re.findall(r'<option value="(acme/\w+)"', page) == [f"acme/{task}"]
    assert "may use no model" in console.client.get(url(console, "/playground", "zenith")).text


def test_of_many_models_some_are_listed_and_any_can_be_typed(console, api, make_model) -> None:
    allow_all(console)
    many = {f"acme/m{n:04}": make_model(f"acme/m{n:04}") for n in range(2000)}
    console.services.feed.current = PolicySnapshot(models=many)
    answer = console.client.get(url(console))
    assert answer.text.count('<option value="acme/m') == 100
    assert 'list="model-known"' in answer.text
    assert "2\N{NARROW NO-BREAK SPACE}000 models can do this" in answer.text
    assert len(answer.content) < 30_000
    token = console.become("ada")
    assert send(console, "/playground", token, **EMBED | {"model": "acme/m1999"}).status_code == 200
    assert json.loads(api.asked[-1].body)["model"] == "acme/m1999"


def test_whoever_only_looks_asks_nothing_and_a_tenants_own_operator_does(console, api) -> None:
    allow_all(console)
    token = console.become("<i>eve")
    assert ">Ask</button>" not in console.client.get(url(console)).text
    assert send(console, "/playground", token, **EMBED).status_code == 403
    token = console.become("tina")
    assert ">Ask</button>" in console.client.get(url(console)).text
    assert send(console, "/playground", token, **EMBED).status_code == 200
    assert console.client.get("/admin/playground").status_code == 404
    assert len(api.asked) == 1


def test_without_an_api_beside_it_the_playground_says_so(console_at) -> None:
    console = console_at()
    token = console.become("ada")
    answer = send(console, "/playground", token, **EMBED)
    assert (answer.status_code, "no API beside it" in answer.text) == (422, True)


def test_the_fleets_playground_asks_in_whose_name(console) -> None:
    console.become("ada")
    page = console.client.get("/admin/playground").text
    assert f'href="{url(console)}"' in page
    assert "zenith" in page
    assert "zenith" not in console.client.get("/admin/playground?q=acm").text


def test_alike_texts_and_a_vector_of_nothing() -> None:
    rows = matrix_of(["a", "b", "c"], [[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]])
    assert [[cell.value for cell in row.cells] for row in rows] == [[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [0.0] * 3]
    assert rows[0].cells[1].shade == 0


def test_a_text_is_cut_at_what_was_found_and_no_piece_of_it_is_lost() -> None:
    found = [
        {"start": 4, "end": 7, "label": "b", "score": 0.5},
        {"start": 0, "end": 3, "label": "a", "score": 0.5},
        {"start": 5, "end": 9, "label": "c", "score": 0.5},
    ]
    pieces = pieces_of("one two 🐟 four", found)
    assert "".join(piece.text for piece in pieces) == "one two 🐟 four"
    assert [(piece.text, piece.label) for piece in pieces if piece.label] == [("one", "a"), ("two", "b")]
    assert pieces_of("none", []) == pieces_of("none", [{"start": 2, "end": 2, "label": "x", "score": 1}])


def test_a_long_vector_is_cut_in_what_is_shown_of_the_answer() -> None:
    answer = ApiAnswer(200, {}, json.dumps({"data": [{"embedding": [0.5] * 384}]}).encode(), 0.1)
    outcome = outcome_of(answer, "embed", ["a"])
    assert outcome.dimensions == 384
    assert "… 378 more" in outcome.body


NASTY = """it's "Bearer " $HOME `id` \\ \n{x} </script> é"""


@pytest.mark.parametrize("task", ["embed", "rerank"])
def test_the_code_is_the_very_request_whatever_stands_in_it(task) -> None:
    body = {"model": "m", "input": [NASTY], "input_type": "query"}
    path = "/v1/embeddings" if task == "embed" else "/v1/rerank"
    curl, python, node = (one.code for one in request_snippets("http://h", Call(task, path, body)))
    words = subprocess.run(
        [
            "/bin/sh",
            "-c",
            curl.replace("curl", f"{sys.executable} -c 'import json,sys; print(json.dumps(sys.argv[1:]))'", 1),
        ],
        capture_output=True,
        text=True,
        check=True,
        env={"SHOAL_API_KEY": "the key"},
    )
    sent = json.loads(words.stdout)
    assert json.loads(sent[sent.index("-d") + 1]) == body
    assert "Authorization: Bearer the key" in sent
    compile(python, "snippet", "exec")
    assert "SHOAL_API_KEY" in python
    assert "process.env.SHOAL_API_KEY" in node
