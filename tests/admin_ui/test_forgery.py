"""Requests that other sites make browsers send, and forms that were bent: on every route that writes."""

import re

import pytest

from admin_ui.sessions import COOKIE

PASSWORD = "correct horse battery"


def filled(path: str, tenant: str) -> str:
    return re.sub(r"\{\w+:\w+\}", "x", path.replace("{tenant:str}", tenant))


@pytest.fixture
def writes(console):
    """The addresses that take POST."""
    acme = console.tenant_id("acme")
    return [filled(path, acme) for method, path, _ in console.routes() if method == "POST"]


def others_tokens(console) -> list[str]:
    """Of another operator, of another session of the same one, of a visitor, and of one's own session before."""
    tokens = [console.become("<i>eve"), console.become("ada")]
    console.client.cookies.clear()
    tokens.append(console.hidden(console.client.get("/admin/sign-in").text, "csrf_token"))
    return tokens


def test_no_write_takes_the_token_of_another_session(console, writes) -> None:
    tokens = others_tokens(console)
    console.become("ada")
    for address in writes:
        for token in tokens:
            answer = console.client.post(address, data={"csrf_token": token})
            assert (answer.status_code, "did not come from the console" in answer.text) == (403, True), address


@pytest.mark.parametrize("site", ["cross-site", "same-site", "CROSS-SITE", "?"])
def test_no_write_comes_from_a_page_of_another_site_even_with_the_right_token(console, writes, site) -> None:
    token = console.become("ada")
    for address in writes:
        answer = console.client.post(address, data={"csrf_token": token}, headers={"sec-fetch-site": site})
        assert answer.status_code == 403, address
    assert console.client.get("/admin").status_code == 200


@pytest.mark.parametrize("site", ["same-origin", "none", None])
def test_forms_of_our_own_pages_are_taken(console, site) -> None:
    token = console.become("ada")
    headers = {} if site is None else {"sec-fetch-site": site}
    answer = console.client.post("/admin/theme", data={"csrf_token": token, "theme": "dark"}, headers=headers)
    assert answer.status_code == 303


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/json", "multipart/form-data; boundary=x", "", "application/x-www-form", "*/*"]
)
def test_what_is_no_form_writes_nothing(console, writes, kind) -> None:
    token = console.become("ada")
    for address in writes:
        sent = {"content-type": kind} if kind else {}
        answer = console.client.post(address, content=f"csrf_token={token}&theme=dark", headers=sent)
        assert answer.status_code == 403, address


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"])
def test_no_other_method_and_no_word_for_one_does_what_a_form_does(console, writes, method) -> None:
    token = console.become("ada")
    console.client.get("/admin/audit")
    before = console.client.get("/admin/audit").text.count('id="event-')
    for address in writes:
        answer = console.client.request(method, address, params={"csrf_token": token})
        assert answer.status_code in {204, 404, 405}, address
        bent = {"x-http-method-override": "POST", "x-method-override": "POST", "x-http-method": "POST"}
        answer = console.client.get(address, params={"csrf_token": token, "_method": "POST"}, headers=bent)
        assert answer.status_code < 500, address
    assert console.client.get("/admin/audit").text.count('id="event-') == before
    assert console.client.get("/admin/account").status_code == 200, "nobody was signed out"


def test_a_token_counts_that_the_form_carries_and_no_other(console, writes) -> None:
    token = console.become("ada")
    for address in writes:
        for elsewhere in (
            {"params": {"csrf_token": token}},
            {"headers": {"x-csrf-token": token, "x-csrftoken": token}},
            {"headers": {"cookie": f"{COOKIE}={console.client.cookies[COOKIE]}; csrf_token={token}"}},
        ):
            assert console.client.post(address, data={"theme": "dark"}, **elsewhere).status_code == 403, address


def test_nobody_is_signed_in_by_another_sites_form(console, console_at) -> None:
    """As the attacker, so that what they type is the attacker's: the form has a token, too, of the victim's session."""
    attacker = console_at()
    theirs = attacker.hidden(attacker.client.get("/admin/sign-in").text, "csrf_token")
    console.client.get("/admin/sign-in")
    form = {"name": "ada", "password": PASSWORD, "csrf_token": theirs}
    assert console.client.post("/admin/sign-in", data=form).status_code == 403
    console.client.cookies.clear()
    assert console.client.post("/admin/sign-in", data=form).status_code == 403
    own = console.hidden(console.client.get("/admin/sign-in").text, "csrf_token")
    bent = console.client.post(
        "/admin/sign-in", data=form | {"csrf_token": own}, headers={"sec-fetch-site": "same-site"}
    )
    assert bent.status_code == 403
    assert console.client.get("/admin").status_code == 303


def test_fields_that_stand_twice_are_one_of_both_and_never_a_failure(console, writes) -> None:
    token = console.become("ada")
    for address in writes:
        names = ("name", "version", "theme", "task", "confirm", "role", "scopes", "allow", "password", "next")
        body = "&".join([f"csrf_token={token}", *(f"{name}=a&{name}=b&{name}[]=c" for name in names)])
        headers = {"content-type": "application/x-www-form-urlencoded"}
        answer = console.client.post(address, content=body, headers=headers)
        assert answer.status_code < 500, address
        token = console.become("ada")
