import re

import pytest

from gateway.services.snapshot.entries import PolicySnapshot


@pytest.fixture
def fleet(console, make_model):
    models = [make_model("BAAI/bge-m3", "bge-m3"), make_model("BAAI/secret"), make_model("org/open")]
    console.services.feed.current = PolicySnapshot(models={name: model for model in models for name in model.names})
    return console


def models_url(console, name: str = "acme", key: str = "") -> str:
    return f"/admin/tenants/{console.tenant_id(name)}{f'/keys/{key}' if key else ''}/models"


def send(console, path: str, csrf_token: str, live: bool = False, **fields):
    headers = {"x-live": "1"} if live else {}
    return console.client.post(path, data={"csrf_token": csrf_token, **fields}, headers=headers)


def matched(page: str) -> list[str]:
    listed = re.search(r'<ul class="matched">(.*?)</ul>', page, re.DOTALL)
    return [] if listed is None else re.findall(r'<span class="name">(.*?)</span>', listed[1])


def new_key(console, token: str) -> str:
    answer = send(console, f"/admin/tenants/{console.tenant_id('acme')}/keys", token, name="laptop")
    return re.search(r"sk-shoal-([a-z0-9]{12})-", answer.text)[1]


def test_patterns_are_saved_and_list_what_they_match_now(fleet) -> None:
    token = fleet.become("ada")
    assert matched(fleet.client.get(models_url(fleet)).text) == []
    answer = send(fleet, models_url(fleet), token, allow="BAAI/*\ngone/*\n\nBAAI/*", deny=" BAAI/secret ")
    assert answer.status_code == 303
    page = fleet.client.get(models_url(fleet)).text
    assert matched(page) == ["BAAI/bge-m3"]
    assert "1 model of 3 may be used now" in page
    assert "These match no model now: <code>gone/*</code>" in page
    assert re.search(r"BAAI/\*\ngone/\*</textarea>", page)


@pytest.mark.parametrize("live", [True, False])
def test_what_is_typed_is_matched_before_it_is_saved_with_script_and_without(fleet, live) -> None:
    token = fleet.become("ada")
    fields = {"allow": "org/*\nno way\nBAAI/*", "deny": "*secret", "preview": "1"}
    answer = send(fleet, models_url(fleet), token, live, **fields)
    assert answer.status_code == 200
    assert matched(answer.text) == ["BAAI/bge-m3", "org/open"]
    assert "Not patterns, so left out: <code>no way</code>" in answer.text
    assert ("<html" in answer.text) is not live
    assert ("Not saved yet" in answer.text) is not live
    assert matched(fleet.client.get(models_url(fleet)).text) == []


def test_lines_that_are_no_patterns_are_named_together_and_nothing_is_saved(fleet) -> None:
    token = fleet.become("ada")
    answer = send(fleet, models_url(fleet), token, allow="org/*\n<b>no\nö", deny="org/*\n" + "x" * 201)
    assert answer.status_code == 422
    assert "2 fields need another look" in answer.text
    assert "These 2 are no patterns" in answer.text
    assert "<b>no" not in answer.text
    assert "&lt;b&gt;no\nö</textarea>" in answer.text
    assert matched(answer.text) == []
    both = send(fleet, models_url(fleet), token, allow="org/*", deny="org/*")
    assert "it can be only one of both" in both.text
    assert matched(fleet.client.get(models_url(fleet)).text) == []


def test_two_tabs_that_change_one_list_lose_nothing(fleet) -> None:
    token = fleet.become("ada")
    version = fleet.hidden(fleet.client.get(models_url(fleet)).text, "version")
    assert send(fleet, models_url(fleet), token, allow="org/*", deny="", version=version).status_code == 303
    late = send(fleet, models_url(fleet), token, allow="BAAI/*", deny="", version=version)
    assert late.status_code == 409
    assert "Saved now: <b>org/*</b>" in late.text
    assert re.search(r"BAAI/\*</textarea>", late.text)
    assert matched(late.text) == ["BAAI/bge-m3", "BAAI/secret"]
    again = fleet.hidden(late.text, "version")
    assert send(fleet, models_url(fleet), token, allow="BAAI/*\norg/*", deny="", version=again).status_code == 303
    assert len(matched(fleet.client.get(models_url(fleet)).text)) == 3


def test_a_key_narrows_its_tenant_and_never_widens_it(fleet) -> None:
    token = fleet.become("ada")
    send(fleet, models_url(fleet), token, allow="BAAI/*", deny="")
    token = fleet.become("tina")
    key = new_key(fleet, token)
    url = models_url(fleet, key=key)
    assert matched(fleet.client.get(url).text) == ["BAAI/bge-m3", "BAAI/secret"]
    assert send(fleet, url, token, allow="*\nbge-m3", deny="BAAI/secret").status_code == 303
    assert matched(fleet.client.get(url).text) == ["BAAI/bge-m3"]
    assert matched(send(fleet, url, token, True, allow="org/*", deny="", preview="1").text) == []
    assert send(fleet, url, token, allow="", deny="").status_code == 303
    assert "what its tenant may use, it may use too" in fleet.client.get(url).text


def test_long_lists_show_their_beginning_and_count_the_rest(console, make_model) -> None:
    models = {f"org/{number:03}": make_model(f"org/{number:03}") for number in range(150)}
    console.services.feed.current = PolicySnapshot(models=models)
    token = console.become("ada")
    page = send(console, models_url(console), token, allow="*", deny="", preview="1").text
    assert "150 models of 150 may be used now" in page
    assert len(matched(page)) == 100
    assert "The first 100 by id" in page


def test_a_tenants_own_operator_learns_nothing_of_models_beyond_its_own(fleet) -> None:
    token = fleet.become("ada")
    send(fleet, models_url(fleet), token, allow="BAAI/*\ngone/*", deny="")
    token = fleet.become("tina")
    url = models_url(fleet, key=new_key(fleet, token))
    there, nowhere = (
        send(fleet, url, token, True, allow=pattern, deny="", preview="1").text.replace(pattern, "it")
        for pattern in ("org/open", "org/none")
    )
    assert there == nowhere
    assert "These match no model now" in there
    page = fleet.client.get(models_url(fleet)).text
    assert "2 models may be used now" in page
    assert "of 3" not in page
    assert "match no model now" not in page
