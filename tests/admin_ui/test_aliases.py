"""Aliases in the console: those of a tenant and of a model, set, pointed elsewhere and removed."""

import re
from html import unescape

import pytest


def send(console, path: str, token: str, **fields):
    return console.client.post(path, data={"csrf_token": token, **fields})


@pytest.fixture
def token(console) -> str:
    """An admin's; the models `org/a`, also called `every`, and `org/b` are registered."""
    token = console.become("ada")
    for id_, aliases in (("org/a", "every"), ("org/b", "")):
        fields = {"source": id_, "id": id_, "pool": "default", "aliases": aliases, "unseen": "on"}
        assert send(console, "/admin/models", token, dtype="", max_tokens="", **fields).status_code == 303
    return token


@pytest.fixture
def here(console) -> str:
    return f"/admin/tenants/{console.tenant_id('acme')}/aliases"


def page(console, url: str) -> str:
    answer = console.client.get(url)
    assert answer.status_code == 200
    return unescape(answer.text)


def newest(console) -> str:
    return re.findall(r'class="badge quiet">([a-z]+\.[a-z_]+)<', console.client.get("/admin/audit").text)[0]


def add(console, token, here, alias="prod/embed", model="org/a"):
    version = console.hidden(page(console, here), "version")
    return send(console, here, token, alias=alias, model=model, version=version)


def test_a_name_is_given_pointed_elsewhere_and_taken_away(console, token, here) -> None:
    assert "It has no name of its own for a model" in page(console, here)
    assert add(console, token, here, model="every").headers["location"] == here
    assert 'href="/admin/models/at/org/a"' in page(console, here)
    assert newest(console) == "alias.set"
    form = f"{here}/at/prod/embed"
    version = console.hidden(page(console, form), "version")
    assert send(console, form, token, model="org/b", version=version).status_code == 303
    assert "To acme, prod/embed is org/b now." in page(console, here)
    removal = f"{here}/removal/prod/embed"
    assert "refused with 404" in page(console, removal)
    version = console.hidden(page(console, removal), "version")
    assert send(console, removal, token, version=version).headers["location"] == here
    assert newest(console) == "alias.remove"
    assert "It has no name of its own" in page(console, here)
    assert console.client.get(form).status_code == 404
    assert console.client.get(removal).status_code == 404


def test_what_is_wrong_is_said_at_once_and_kept(console, token, here) -> None:
    wrong = add(console, token, here, alias="<no name>", model="nobody/such")
    assert wrong.status_code == 422
    assert "2 fields need another look" in wrong.text
    assert 'value="&lt;no name&gt;"' in wrong.text
    assert 'value="nobody/such"' in wrong.text
    assert 'id="alias-error"' in wrong.text
    assert 'id="model-error"' in wrong.text
    assert add(console, token, here).status_code == 303
    taken = add(console, token, here, model="org/b")
    assert (taken.status_code, "It means org/a already" in taken.text) == (422, True)
    bad = send(console, f"{here}/at/prod/embed", token, model="nobody/such")
    assert (bad.status_code, "No model is called" in bad.text) == (422, True)


def test_two_tabs_that_set_one_name_see_what_the_other_saved(console, token, here) -> None:
    version = console.hidden(page(console, here), "version")
    one = {"alias": "ours", "model": "org/a", "version": version}
    assert send(console, here, token, **one).status_code == 303
    late = send(console, here, token, **one | {"model": "org/b"})
    assert late.status_code == 409
    assert "Saved now: <b>org/a</b>" in late.text
    assert 'value="org/b"' in late.text
    form = f"{here}/at/ours"
    version = console.hidden(page(console, form), "version")
    assert send(console, form, token, model="org/b", version=version).status_code == 303
    late = send(console, form, token, model="every", version=version)
    assert late.status_code == 409
    assert "Saved now: <b>org/b</b>" in late.text
    again = console.hidden(late.text, "version")
    assert send(console, form, token, model="every", version=again).status_code == 303
    assert "org/a" in page(console, here)
    stale = send(console, f"{here}/removal/ours", token, version=version)
    assert stale.status_code == 409
    assert (
        send(console, f"{here}/removal/ours", token, version=console.hidden(stale.text, "version")).status_code == 303
    )


def test_a_model_shows_what_tenants_call_it_and_takes_one_more(console, token, here) -> None:
    names = "/admin/models/names/org/a"
    assert f'href="{names}"' in page(console, "/admin/models/at/org/a")
    empty = page(console, names)
    assert "every" in empty
    assert "No tenant has a name of its own for it" in empty
    assert send(console, names, token, tenant="acme", alias="ours").headers["location"] == names
    shown = page(console, names)
    assert f'href="{here}/at/ours"' in shown
    assert "acme" in shown
    assert newest(console) == "alias.set"
    wrong = send(console, names, token, tenant="nobody", alias="<x>")
    assert (wrong.status_code, "2 fields need another look" in wrong.text) == (422, True)
    taken = send(console, "/admin/models/names/org/b", token, tenant="acme", alias="ours")
    assert (taken.status_code, "To acme it means org/a already" in unescape(taken.text)) == (422, True)


def test_a_tenants_own_operator_sees_names_and_changes_none(console, token, here) -> None:
    add(console, token, here)
    token = console.become("tina")
    shown = page(console, here)
    assert "prod/embed" in shown
    assert "/admin/models/at/" not in shown
    assert "Point elsewhere" not in shown
    assert send(console, here, token, alias="x", model="org/a").status_code == 404
    assert console.client.get(f"{here}/at/prod/embed").status_code == 404
    console.become("<i>eve")
    assert "Point elsewhere" not in page(console, here)
    assert "Let a tenant call it otherwise" not in page(console, "/admin/models/names/org/a")
