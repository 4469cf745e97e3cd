"""What stands around pages: what is said once, themes, the way on after a session ended in mid-form."""

import pytest

from admin_ui.sessions import COOKIE

HERE = {"origin": "http://console.test"}
FORM = {
    "name": 'new "<b>tenant',
    "weight": "2",
    "tokens": "9000",
    "tokens_per_month": "5",
    "new_password": "do not keep me",
    "token": "do not keep me",
    "csrf_token": "old",
}
PASSWORD = "correct horse battery"


def post_without_session(console, headers):
    console.client.cookies.clear()
    return console.client.post("/admin/tenants", data=FORM, headers=headers)


def test_a_form_whose_session_ended_waits_in_the_sign_in_page_and_is_sent_again(console) -> None:
    page = post_without_session(console, HERE)
    assert page.status_code == 401
    assert "Your session has ended" in page.text
    assert "do not keep me" not in page.text
    wrong = console.client.post("/admin/sign-in", data=hidden(console, page.text) | {"name": "ada", "password": "no"})
    assert wrong.status_code == 401
    found = hidden(console, wrong.text) | {"name": "ada", "password": PASSWORD}
    again = console.client.post("/admin/sign-in", data=found)
    assert again.status_code == 200
    assert 'action="/admin/tenants"' in again.text
    assert console.hidden(again.text, "name") == FORM["name"]
    for name in ("weight", "tokens", "tokens_per_month"):
        assert console.hidden(again.text, name) == FORM[name]
    assert "do not keep me" not in again.text
    session = console.sessions.read(console.client.cookies[COOKIE])
    assert console.hidden(again.text, "csrf_token") == console.sessions.csrf_token(session)


def hidden(console, page: str) -> dict[str, str]:
    return {name: console.hidden(page, name) for name in ("csrf_token", "held_action", "held_fields")}


@pytest.mark.parametrize(
    "headers", [{}, {"origin": "null"}, {"origin": "https://evil.test"}, {"origin": "http://console.test.evil.test"}]
)
def test_a_form_from_elsewhere_is_never_kept(console, headers) -> None:
    answer = post_without_session(console, headers)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/admin/sign-in"


@pytest.mark.parametrize("action", ["https://evil.test", "//evil.test", "/elsewhere", "/admin\\evil", "javascript:1"])
def test_a_held_form_goes_to_pages_of_the_console_alone(console, action) -> None:
    answer = console.sign_in("ada", PASSWORD, held_action=action, held_fields="a=b")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/admin"


def test_a_message_is_said_once_and_only_in_the_session_that_it_is_for(console) -> None:
    console.become("ada")
    session = console.sessions.read(console.client.cookies[COOKIE])
    sealed = console.sessions.sealed(session, "shoal_flash", b'{"text": "Done & <b>dusted", "tone": "good"}')
    console.client.cookies.set("shoal_flash", sealed)
    first = console.client.get("/admin/audit")
    assert "Done &amp; &lt;b&gt;dusted" in first.text
    assert "Done &amp;" not in console.client.get("/admin/overview/pools").text
    assert 'shoal_flash="";' in first.headers["set-cookie"] or "shoal_flash=;" in first.headers["set-cookie"]
    for forged in (sealed[:-2] + "xx", "x", ".", sealed.partition(".")[0]):
        console.client.cookies.set("shoal_flash", forged)
        assert "dusted" not in console.client.get("/admin/audit").text
    console.become("<i>eve")
    console.client.cookies.set("shoal_flash", sealed)
    assert "dusted" not in console.client.get("/admin/audit").text


def test_the_theme_is_remembered_and_one_comes_back_to_where_one_was(console) -> None:
    csrf_token = console.become("ada")
    assert "data-theme" not in console.client.get("/admin/audit").text
    answer = console.client.post(
        "/admin/theme", data={"csrf_token": csrf_token, "theme": "dark", "next": "/admin/audit?actor=ada"}
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/audit?actor=ada")
    page = console.client.get("/admin/audit?actor=ada").text
    assert '<html lang="en" data-theme="dark">' in page
    assert 'name="next" value="/admin/audit?actor=ada"' in page
    foreign = {"csrf_token": csrf_token, "theme": "light", "next": "https://evil.test"}
    assert console.client.post("/admin/theme", data=foreign).headers["location"] == "/admin"
    console.client.cookies.set("shoal_theme", '"><script>')
    assert "<script>" not in console.client.get("/admin/audit").text


def test_the_first_paint_is_small(console, make_node, make_resident) -> None:
    console.services.nodes.nodes = [
        make_node(f"http://n{n}:9000", *(make_resident(f"org/model-{k}", 64) for k in range(8))) for n in range(4)
    ]
    console.become("ada")
    page = console.client.get("/admin")
    files = ("app.css", "app.js", "mark.svg")
    size = len(page.content) + sum(len(console.client.get(f"/admin/static/{name}").content) for name in files)
    assert size < 100_000
