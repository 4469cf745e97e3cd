import re
from html import unescape

import pytest

from admin_ui.browsers import browser_text
from admin_ui.sessions import COOKIE
from admin_ui.views.operators import ROLE_NAMES
from gateway.services.access.operators import ROLES
from gateway.services.access.sessions import reference

EVE = "/admin/operators/at/%3Ci%3Eeve"
PASSWORD = "correct horse battery"
NEW = {"name": "zoe", "role": "viewer", "tenant": ""}


def send(console, path: str, csrf_token: str, **fields):
    return console.client.post(path, data={"csrf_token": csrf_token, **fields})


def shown(page: str, id_: str) -> str:
    found = re.search(rf'<code id="{id_}">([^<]+)</code>', page)
    assert found is not None
    return unescape(found[1])


def log(console) -> list[str]:
    return re.findall(r'class="badge quiet">([a-z]+\.[a-z]+)<', console.client.get("/admin/audit").text)


def signed_in(console, *, cookie: str | None = None) -> bool:
    if cookie is not None:
        console.client.cookies.clear()
        console.client.cookies.set(COOKIE, cookie)
    return console.client.get("/admin/account").status_code == 200


def test_the_list_says_who_may_what_and_is_searched(console) -> None:
    console.become("ada")
    page = console.client.get("/admin/operators").text
    assert "&lt;i&gt;eve" in page
    assert "<i>eve" not in page
    assert f'href="/admin/tenants/{console.tenant_id("acme")}">acme' in page
    assert "tina" not in console.client.get("/admin/operators?q=ad").text
    assert "tina" in console.client.get("/admin/operators?q=ACM").text
    assert "Nobody is called so" in console.client.get("/admin/operators?q=<nobody>").text


def test_the_form_offers_every_role_that_there_is() -> None:
    assert sorted(ROLE_NAMES) == sorted(ROLES)


def test_a_new_operators_password_is_shown_once_and_opens_the_console(console, console_at) -> None:
    token = console.become("ada")
    answer = send(console, "/admin/operators", token, **NEW)
    assert answer.status_code == 201
    password = shown(answer.text, "the-password")
    assert console_at().sign_in("zoe", password).status_code == 303
    for path in ("/admin/operators", "/admin/operators/at/zoe", "/admin/audit"):
        assert password not in console.client.get(path).text
    assert log(console)[0] == "operator.create"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": "a\u200bb", "role": "king", "tenant": "acme"}, ["name", "role", "tenant"]),
        ({"name": "", "role": "tenant_admin"}, ["name", "tenant"]),
        ({"role": "tenant_admin", "tenant": "nobody's"}, ["tenant"]),
        ({"name": "a/b"}, ["name"]),
        ({"name": ".."}, ["name"]),
        ({"name": "ada"}, ["name"]),
    ],
)
def test_a_form_with_wrong_fields_says_all_of_it_and_makes_nobody(console, wrong, said) -> None:
    token = console.become("ada")
    answer = send(console, "/admin/operators", token, **NEW | wrong)
    assert answer.status_code == 422
    assert re.findall(r'class="error" id="(\w+)-error"', answer.text) == said
    assert console.client.get("/admin/operators/at/zoe").status_code == 404


def test_a_role_holds_at_once(console, console_at) -> None:
    token, eve = console.become("ada"), console_at()
    form = console.client.get(f"{EVE}/role").text
    version = console.hidden(form, "version")
    fields = {"role": "tenant_admin", "tenant": "acme", "version": version}
    assert send(console, f"{EVE}/role", token, **fields).headers["location"] == EVE
    eve.become("<i>eve")
    assert eve.client.get("/admin/tenants").status_code == 404
    again = send(console, f"{EVE}/role", token, **fields | {"role": "admin", "tenant": ""})
    assert again.status_code == 409
    assert "Saved now: <b>tenant_admin</b>" in again.text
    assert "Saved now: <b>acme</b>" in again.text
    assert log(console)[0] == "operator.role"


def test_nobody_takes_their_own_role_or_goes_by_a_slip(console) -> None:
    token = console.become("ada")
    answer = send(console, "/admin/operators/at/ada/role", token, role="viewer", tenant="")
    assert (answer.status_code, "ask another admin" in answer.text) == (422, True)
    answer = send(console, "/admin/operators/at/ada/removal", token, confirm="ada")
    assert (answer.status_code, "ask another admin" in answer.text) == (422, True)
    assert send(console, "/admin/operators/at/ada/password", token).headers["location"] == "/admin/account"
    assert console.client.get("/admin/operators/at/ada").status_code == 200


def test_of_two_admins_who_demote_each_other_the_first_one_stays(console, console_at) -> None:
    token, zoe = console.become("ada"), console_at()
    send(console, "/admin/operators", token, **NEW | {"role": "admin"})
    theirs = zoe.become("zoe")
    assert send(zoe, "/admin/operators/at/ada/role", theirs, role="viewer", tenant="").status_code == 303
    token = console.become("ada")
    assert send(console, "/admin/operators/at/zoe/removal", token, confirm="zoe").status_code == 403
    assert send(console, "/admin/operators/at/ada/role", token, role="admin", tenant="").status_code == 403
    assert zoe.client.get("/admin/operators/at/zoe").status_code == 200


def test_a_reset_password_is_shown_once_and_ends_what_the_old_one_began(console, console_at) -> None:
    token, eve = console.become("ada"), console_at()
    eve.sign_in("<i>eve", PASSWORD)
    assert signed_in(eve)
    assert "1 open session ends" in console.client.get(f"{EVE}/password").text
    answer = send(console, f"{EVE}/password", token)
    assert answer.status_code == 201
    assert not signed_in(eve)
    assert eve.sign_in("<i>eve", PASSWORD).status_code == 401
    assert eve.sign_in("<i>eve", shown(answer.text, "the-password")).status_code == 303
    assert send(console, f"{EVE}/password", token, version="1").status_code == 409


def test_removing_asks_for_the_name_and_puts_them_out(console, console_at) -> None:
    token, eve = console.become("ada"), console_at()
    eve.become("<i>eve")
    assert send(console, f"{EVE}/removal", token, confirm="eve").status_code == 422
    assert send(console, f"{EVE}/removal", token, confirm="<i>eve").headers["location"] == "/admin/operators"
    assert not signed_in(eve)
    assert console.client.get(EVE).status_code == 404


def test_a_token_is_shown_once_and_revoked_for_good(console) -> None:
    token = console.become("ada")
    wrong = send(console, f"{EVE}/tokens", token, name="", expires="soon")
    assert re.findall(r'class="error" id="(\w+)-error"', wrong.text) == ["name", "expires"]
    made = send(console, f"{EVE}/tokens", token, name="ci", expires="30d", read_only="on")
    assert made.status_code == 201
    text = shown(made.text, "the-token")
    assert f"Authorization: Bearer {text}" in unescape(made.text)
    page = console.client.get(EVE).text
    assert (text in page, text[:21] in page) == (False, True)
    revocation = f"{EVE}/tokens/{text.split('-')[2]}/revocation"
    assert "Revoke ci?" in console.client.get(revocation).text
    assert console.client.get(revocation.replace(EVE, "/admin/operators/at/ada")).status_code == 404
    assert send(console, revocation, token).headers["location"] == EVE
    assert "revoked" in console.client.get(EVE).text
    assert log(console)[:2] == ["token.revoke", "token.create"]


def test_sessions_are_listed_and_ended_one_by_one_or_all(console, console_at) -> None:
    token, others = console.become("ada"), [console_at(), console_at()]
    for other in others:
        other.become("<i>eve")
    ends = re.findall(r'action="([^"]+/sessions/end/[^"]+)"', console.client.get(EVE).text)
    assert len(ends) == 2
    assert "192.0.2.9" in console.client.get(EVE).text
    send(console, ends[0], token)
    assert sorted(signed_in(other) for other in others) == [False, True]
    send(console, f"{EVE}/sessions/end", token)
    assert not any(signed_in(other) for other in others)
    assert signed_in(console)
    assert log(console)[0] == "session.end"


def test_ones_own_password_asks_for_the_old_one_and_ends_the_other_sessions(console, console_at) -> None:
    there = console_at()
    console.sign_in("tina", "tina at the shop")
    there.sign_in("tina", "tina at the shop")
    page = console.client.get("/admin/account").text
    token = console.hidden(page, "csrf_token")
    assert page.count("this one") == 1
    change = "/admin/account/password"
    wrong = send(console, change, token, current_password="", password="short", password_again="other")
    assert wrong.status_code == 422
    said = re.findall(r'class="error" id="(\w+)-error"', wrong.text)
    assert said == ["current_password", "password", "password_again"]
    assert "short" not in wrong.text
    fields = {"password": "a longer secret", "password_again": "a longer secret"}
    assert "not your password" in send(console, change, token, current_password="guess", **fields).text
    assert signed_in(there)
    answer = send(console, change, token, current_password="tina at the shop", **fields)
    assert answer.headers["location"] == "/admin/account"
    assert (signed_in(console), signed_in(there)) == (True, False)
    assert there.sign_in("tina", "a longer secret").status_code == 303


def test_guessing_the_old_password_has_to_wait(console) -> None:
    token = console.become("tina")
    fields = {"password": "a longer secret", "password_again": "a longer secret"}
    answers = [
        send(console, "/admin/account/password", token, current_password=f"guess {n}", **fields) for n in range(6)
    ]
    assert "Too many tries" in answers[5].text
    assert "not your password" in answers[4].text


def test_everybody_ends_their_own_sessions_and_nobody_elses(console, console_at) -> None:
    token, there, ada = console.become("tina"), console_at(), console_at()
    there.become("tina")
    ada.become("ada")
    page = ada.client.get("/admin/operators/at/ada").text
    theirs = console.sessions.read(ada.client.cookies[COOKIE])
    assert theirs is not None
    assert "/sessions/end/" not in page  # one's own is ended by signing out
    send(console, f"/admin/account/sessions/end/{reference(theirs.id)}", token)
    assert signed_in(ada)
    send(console, "/admin/account/sessions/end", token)
    assert (signed_in(console), signed_in(there)) == (True, False)


@pytest.mark.parametrize(
    ("agent", "text"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0", "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/130.0 Safari/537.36 Edg/130.0", "Edge on Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Version/17.0 Safari/604.1", "Safari on iPhone"),
        ("curl/8.5.0", "curl/8.5.0"),
        ("", "unknown"),
    ],
)
def test_a_browser_is_named_in_two_words(agent: str, text: str) -> None:
    assert browser_text(agent) == text
