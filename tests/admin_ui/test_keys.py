import re
from html import unescape

import pytest

from admin_ui.snippets import snippets
from gateway.services.register.model_facts import ModelFacts
from gateway.services.snapshot.entries import ModelEntry, PolicySnapshot

SECRET = re.compile(r"sk-shoal-[a-z0-9]{12}-[A-Za-z0-9_-]{43}")


def keys_url(console, name: str = "acme", rest: str = "") -> str:
    return f"/admin/tenants/{console.tenant_id(name)}/keys{rest}"


def send(console, path: str, csrf_token: str, **fields):
    return console.client.post(path, data={"csrf_token": csrf_token, **fields})


def made(console, token: str, **fields) -> tuple[str, str]:
    """A new key of acme: its id and its text."""
    answer = send(console, keys_url(console), token, **{"name": "laptop", **fields})
    assert answer.status_code == 201
    [text] = set(SECRET.findall(answer.text))
    return text.split("-")[2], text


def allow(console, token: str, *patterns: str) -> None:
    url = f"/admin/tenants/{console.tenant_id('acme')}/models"
    assert send(console, url, token, allow="\n".join(patterns), deny="").status_code == 303


def know(console, *models: ModelEntry) -> None:
    console.services.feed.current = PolicySnapshot(models={name: model for model in models for name in model.names})


def model(id_: str, *aliases: str, tasks=("embed",)) -> ModelEntry:
    facts = ModelFacts(tasks=tasks)
    return ModelEntry(id_, aliases, id_, None, "default", None, None, False, 0, 384, 512, facts)


def test_a_key_is_shown_by_the_answer_that_makes_it_and_nowhere_else(console) -> None:
    token = console.become("ada")
    key_id, text = made(console, token, name="<i>laptop", expires="30d", scopes=["rerank", "embeddings"])
    for path in (keys_url(console), keys_url(console, rest=f"/{key_id}"), "/admin/audit", keys_url(console)[:-5]):
        page = console.client.get(path).text
        assert f"sk-shoal-{key_id}-…" in page or key_id in page, path
        assert text not in page
        assert "<i>laptop" not in page
    page = console.client.get(keys_url(console, rest=f"/{key_id}")).text
    assert "embeddings, rerank" in page


def test_its_snippets_call_the_real_address_with_the_key_and_a_model_that_it_may_use(console_at) -> None:
    console = console_at(public_url="https://shoal.example.org/")
    token = console.become("ada")
    know(console, model("a/forbidden"), model("b/open", "open"), model("c/rerank", tasks=("rerank",)))
    allow(console, token, "b/*", "c/*")
    answer = send(console, keys_url(console), token, name="laptop")
    text = SECRET.search(answer.text)[0]
    codes = [unescape(code) for code in re.findall(r'<code id="code-\w+">(.*?)</code>', answer.text, re.DOTALL)]
    assert len(codes) == 6
    for code in codes:
        assert "https://shoal.example.org" in code
        assert text in code
        assert "open" in code
        assert "a/forbidden" not in code
    assert "MODEL" not in answer.text


def test_a_key_kept_to_ranking_is_shown_ranking(console) -> None:
    token = console.become("ada")
    know(console, model("b/open"), model("c/rerank", tasks=("rerank",)))
    allow(console, token, "*")
    answer = unescape(send(console, keys_url(console), token, name="laptop", scopes=["rerank"]).text)
    assert "curl http://console.test/v1/rerank" in answer
    assert '"model": "c/rerank"' in answer
    assert "/v1/embeddings" not in answer


def test_a_key_that_may_use_no_model_says_so(console) -> None:
    token = console.become("ada")
    know(console, model("b/open"))
    answer = send(console, keys_url(console), token, name="laptop")
    assert "This key may use no model yet" in answer.text
    assert "b/open" not in answer.text


@pytest.mark.parametrize("task", ["embed", "rerank", "classify", "extract", "models"])
def test_python_of_every_snippet_is_python(task) -> None:
    for one in snippets("https://shoal.example.org", "sk-shoal-x", task, "org/m"):
        if one.id in {"python", "chroma", "qdrant", "weaviate"}:
            compile(one.code, one.id, "exec")
        assert "<URL>" not in one.code
        assert "<KEY>" not in one.code
        assert "/v1/v1" not in one.code


def test_a_form_with_every_field_wrong_makes_no_key_and_keeps_what_was_typed(console) -> None:
    token = console.become("ada")
    wrong = {"name": " ", "expires": "2020-01-01", "scopes": ["rerank", "everything<"]}
    answer = send(console, keys_url(console), token, **wrong)
    assert answer.status_code == 422
    assert "3 fields need another look" in answer.text
    assert "expired from the start" in answer.text
    assert 'value="2020-01-01"' in answer.text
    assert re.search(r'value="rerank" checked', answer.text)
    assert "There is no key yet" in console.client.get(keys_url(console)).text
    assert "is no expiry" in send(console, keys_url(console), token, name="x", expires="soon").text
    assert "has 65 characters" in send(console, keys_url(console), token, name="x" * 65).text


def test_two_tabs_that_change_one_key_lose_nothing(console) -> None:
    token = console.become("ada")
    key_id, _ = made(console, token, expires="30d")
    url = keys_url(console, rest=f"/{key_id}/settings")
    page = console.client.get(url).text
    version = console.hidden(page, "version")
    expires = re.search(r'name="expires" type="text" value="([^"]+)"', page)[1]
    assert send(console, url, token, name="first", expires=expires, version=version).status_code == 303
    second = send(console, url, token, name="second", expires="", scopes=["chat"], version=version)
    assert second.status_code == 409
    assert "Saved now: <b>first</b>" in second.text
    assert f"Saved now: <b>{expires}</b>" in second.text
    assert "Saved now: everything" in second.text
    assert 'value="second"' in second.text
    again = console.hidden(second.text, "version")
    assert send(console, url, token, name="second", scopes=["chat"], version=again).status_code == 303
    shown = console.client.get(keys_url(console, rest=f"/{key_id}")).text
    assert "second" in shown
    assert "chat" in shown
    assert "never" in shown


def test_saving_a_key_as_it_is_changes_nothing(console) -> None:
    token = console.become("ada")
    key_id, _ = made(console, token, expires="30d")
    url = keys_url(console, rest=f"/{key_id}/settings")
    page = console.client.get(url).text
    expires = re.search(r'name="expires" type="text" value="([^"]+)"', page)[1]
    version = console.hidden(page, "version")
    assert send(console, url, token, name="laptop", expires=expires, version=version).status_code == 303
    assert console.hidden(console.client.get(url).text, "version") == version


def test_a_rotated_key_works_on_for_as_long_as_was_chosen(console) -> None:
    token = console.become("ada")
    key_id, text = made(console, token)
    url = keys_url(console, rest=f"/{key_id}/rotation")
    version = console.hidden(console.client.get(url).text, "version")
    assert send(console, url, token, overlap="5y", version=version).status_code == 422
    answer = send(console, url, token, overlap="24h", version=version)
    assert answer.status_code == 201
    [new] = set(SECRET.findall(answer.text))
    assert new != text
    assert f"sk-shoal-{key_id}-…" in answer.text
    assert send(console, url, token, overlap="24h", version=version).status_code == 409
    listed = console.client.get(keys_url(console)).text
    assert "soon" in listed


def test_a_key_is_revoked_after_one_more_question_and_stays_so(console) -> None:
    token = console.become("ada")
    key_id, _ = made(console, token)
    url = keys_url(console, rest=f"/{key_id}")
    version = console.hidden(console.client.get(f"{url}/revocation").text, "version")
    assert send(console, f"{url}/revocation", token, version=version).status_code == 303
    page = console.client.get(url).text
    assert "revoked" in page
    assert "/rotation" not in page
    late = send(console, f"{url}/settings", token, name="again")
    assert late.status_code == 422
    assert "is revoked; create another one" in late.text
    assert send(console, f"{url}/rotation", token, overlap="0").status_code == 422
    assert "No key matches" in console.client.get(keys_url(console, rest="?state=active")).text
    assert key_id in console.client.get(keys_url(console, rest=f"?q=sk-shoal-{key_id}-…")).text


def test_another_tenants_key_is_not_there_under_ones_own_tenant(console) -> None:
    token = console.become("ada")
    zenith = send(console, keys_url(console, "zenith"), token, name="theirs")
    key_id = SECRET.search(zenith.text)[0].split("-")[2]
    for operator in ("ada", "tina"):
        token = console.become(operator)
        for rest in ("", "/settings", "/rotation", "/revocation", "/limits", "/models"):
            url = keys_url(console, rest=f"/{key_id}{rest}")
            assert console.client.get(url).status_code == 404, url
        fields = {"name": "mine", "overlap": "24h", "model_pattern": "*", "requests": "1", "allow": "*", "deny": ""}
        for rest in ("/settings", "/rotation", "/revocation", "/limits", "/models"):
            answer = send(console, keys_url(console, rest=f"/{key_id}{rest}"), token, **fields)
            assert answer.status_code == 404, rest
    console.become("ada")
    page = console.client.get(keys_url(console, "zenith", f"/{key_id}")).text
    assert "theirs" in page
    assert "active" in page


def test_a_list_of_many_keys_goes_on_where_its_page_ended(console) -> None:
    token = console.become("ada")
    for number in range(51):
        made(console, token, name=f"key {number:02}")
    first = console.client.get(keys_url(console)).text
    assert "key 50" in first
    assert "key 00" not in first
    after = unescape(re.search(r'rel="next" href="([^"]+)"', first)[1])
    second = console.client.get(after).text
    assert "key 00" in second
    assert "key 01" not in second
