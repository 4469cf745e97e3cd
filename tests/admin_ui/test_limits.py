import re

import pytest


def limits_url(console, name: str = "acme", key: str = "") -> str:
    return f"/admin/tenants/{console.tenant_id(name)}{f'/keys/{key}' if key else ''}/limits"


def send(console, path: str, csrf_token: str, **fields):
    return console.client.post(path, data={"csrf_token": csrf_token, **fields})


def set_limits(console, token: str, **fields) -> None:
    assert send(console, limits_url(console), token, **{"model_pattern": "*", **fields}).status_code == 303


def new_key(console, token: str) -> str:
    answer = send(console, f"/admin/tenants/{console.tenant_id('acme')}/keys", token, name="laptop")
    return re.search(r"sk-shoal-([a-z0-9]{12})-", answer.text)[1]


def test_limits_are_saved_and_shown_with_what_is_used_of_them_now(console) -> None:
    token = console.become("ada")
    set_limits(console, token, requests="6 000", tokens="1,000,000", tokens_per_month="500", concurrency="10")
    console.services.quota.left = {"requests": 5400, "concurrency": 0, "tokens": 100_000}
    page = console.client.get(limits_url(console)).text.replace("\N{NARROW NO-BREAK SPACE}", " ")
    assert "600 of 6 000" in page
    assert "900 000 of 1 000 000" in page
    assert "0 of 500" in page
    assert "at its limit" in page
    assert page.count('role="img"') == 8  # in the list, and beside each field of the form
    assert 'name="requests" type="text" value="6000"' in page
    assert "quota.set" in console.client.get("/admin/audit").text


def test_the_form_is_that_of_the_pattern_in_its_address_and_an_empty_field_is_no_limit(console) -> None:
    token = console.become("ada")
    set_limits(console, token, model_pattern="BAAI/*", tokens="70", requests="7")
    set_limits(console, token, requests="9")
    page = console.client.get(f"{limits_url(console)}?of=BAAI/*").text
    assert 'name="tokens" type="text" value="70"' in page
    set_limits(console, token, model_pattern="BAAI/*", tokens="", requests="7")
    page = console.client.get(f"{limits_url(console)}?of=BAAI/*").text
    assert 'name="tokens" type="text" value=""' in page
    assert 'name="requests" type="text" value="7"' in page


def test_while_the_store_of_quotas_is_away_the_page_says_so_and_works(console) -> None:
    token = console.become("ada")
    set_limits(console, token, requests="60", tokens_per_month="500")
    console.services.quota.left = None
    page = console.client.get(limits_url(console))
    assert page.status_code == 200
    assert "store of quotas does not answer" in page.text
    assert "use not known now" in page.text
    assert "0 of 500" in page.text
    assert "use not known now" in console.client.get(limits_url(console)[: -len("/limits")]).text


def test_every_wrong_field_is_named_at_once_and_nothing_is_changed(console) -> None:
    token = console.become("ada")
    wrong = {
        "model_pattern": "<b>",
        "requests": "0",
        "tokens": "many",
        "tokens_per_month": "9" * 20,
        "concurrency": "1.5",
    }
    answer = send(console, limits_url(console), token, **wrong)
    assert answer.status_code == 422
    assert "5 fields need another look" in answer.text
    for name, typed in wrong.items():
        assert f'id="{name}-error"' in answer.text, name
        assert f'value="{typed.replace("<", "&lt;").replace(">", "&gt;")}"' in answer.text, name
    assert "would stop everything" in answer.text
    assert "No limit is set" in console.client.get(limits_url(console)).text


def test_a_limit_that_a_wider_one_keeps_from_being_reached_is_refused_at_its_field(console) -> None:
    token = console.become("ada")
    set_limits(console, token, requests="10")
    answer = send(console, limits_url(console), token, model_pattern="big/*", requests="11")
    assert answer.status_code == 422
    assert 'id="requests-error"' in answer.text
    assert "would never be reached" in answer.text


def test_two_tabs_that_set_one_limit_lose_nothing(console) -> None:
    token = console.become("ada")
    version = console.hidden(console.client.get(limits_url(console)).text, "version")
    set_limits(console, token, requests="10", version=version)
    late = send(console, limits_url(console), token, model_pattern="*", requests="20", tokens="5", version=version)
    assert late.status_code == 409
    assert "Saved now: <b>10</b>" in late.text
    assert "Saved now: <b>nothing</b>" in late.text
    assert 'value="20"' in late.text
    again = console.hidden(late.text, "version")
    set_limits(console, token, requests="20", tokens="5", version=again)


@pytest.mark.parametrize("operator", ["ada", "tina"])
def test_limits_of_a_key_stand_beside_those_of_its_tenant(console, operator) -> None:
    token = console.become("ada")
    set_limits(console, token, requests="100")
    token = console.become(operator)
    key = new_key(console, token)
    url = limits_url(console, key=key)
    assert send(console, url, token, model_pattern="*", requests="30").status_code == 303
    page = console.client.get(url).text
    assert "of 30" in page
    assert "of 100" not in page
    assert "of 30" not in console.client.get(limits_url(console)).text
    refused = send(console, url, token, model_pattern="*", requests="300")
    assert "the key or its tenant has a wider limit of 100" in refused.text


def test_a_revoked_keys_limits_are_shown_and_not_changed(console) -> None:
    token = console.become("ada")
    key = new_key(console, token)
    send(console, f"/admin/tenants/{console.tenant_id('acme')}/keys/{key}/revocation", token)
    page = console.client.get(limits_url(console, key=key)).text
    assert "Set limits" not in page
