"""Cookies of the console, and that a session which is there before a change is not the one that is there after it."""

import sqlite3
from contextlib import closing

import pytest

from admin_ui.sessions import COOKIE, LIFETIME

PASSWORD = "correct horse battery"
HOST_ONLY = f"__Host-{COOKIE}"


def flags(header: str) -> set[str]:
    return {part.strip().lower() for part in header.split(";")[1:]}


@pytest.mark.parametrize(
    ("base_url", "public_url", "secure"),
    [
        ("http://console.test", None, False),
        ("https://console.test", None, True),
        ("http://console.test", "https://shoal.test", True),
        ("http://console.test", "http://shoal.test", False),
    ],
)
def test_the_cookie_is_for_this_host_and_no_script(console_at, base_url, public_url, secure) -> None:
    said = console_at(base_url, public_url=public_url).client.get("/admin/sign-in").headers["set-cookie"]
    expected = {"httponly", "samesite=lax", f"max-age={LIFETIME}"}
    assert flags(said) == expected | ({"secure", "path=/"} if secure else {"path=/admin"})
    assert said.startswith(f"{HOST_ONLY}=" if secure else f"{COOKIE}=")


def test_over_tls_a_neighbour_in_the_domain_puts_no_session_in_our_place(console_at) -> None:
    """It can set cookies for the whole domain, and so could sign others in as itself, but none that are this host's."""
    console = console_at("https://console.test")
    console.become("ada")
    assert console.client.get("/admin").status_code == 200
    cookie = console.client.cookies[HOST_ONLY]
    console.client.cookies.clear()
    console.client.cookies.set(COOKIE, cookie)
    assert console.client.get("/admin").status_code == 303


def test_every_cookie_is_as_guarded_and_forgotten_by_the_name_it_has(console_at) -> None:
    console = console_at("https://console.test")
    token = console.become("ada")
    theme = console.client.post("/admin/theme", data={"csrf_token": token, "theme": "dark"}).headers["set-cookie"]
    tenant = {"csrf_token": token, "name": "new", "allow": "", "lane": "interactive", "weight": "1"}
    flash = console.client.post("/admin/tenants", data=tenant).headers["set-cookie"]
    said = console.client.get("/admin/audit")
    assert 'data-theme="dark"' in said.text
    assert "new is there" in said.text
    out = console.client.post("/admin/sign-out", data={"csrf_token": token}).headers["set-cookie"]
    for name, header in (("theme", theme), ("flash", flash), ("flash", said.headers["set-cookie"]), ("console", out)):
        assert header.startswith(f"__Host-shoal_{name}="), header
        assert flags(header) >= {"secure", "httponly", "samesite=lax", "path=/"}
    assert "max-age=0" in flags(said.headers["set-cookie"]) & flags(out)


def test_another_password_gives_this_browser_another_session_and_ends_the_old_one(console) -> None:
    console.sign_in("tina", "tina at the shop")
    before = console.client.cookies[COOKIE]
    token = console.hidden(console.client.get("/admin/account").text, "csrf_token")
    fields = {
        "current_password": "tina at the shop",
        "password": "a longer secret",
        "password_again": "a longer secret",
    }
    answer = console.client.post("/admin/account/password", data={"csrf_token": token, **fields})
    assert answer.headers["location"] == "/admin/account"
    page = console.client.get("/admin/account")
    assert "Your password is changed" in page.text
    assert console.hidden(page.text, "csrf_token") != token
    after = console.client.cookies[COOKIE]
    assert console.sessions.read(before).id != console.sessions.read(after).id
    console.client.cookies.clear()
    console.client.cookies.set(COOKIE, before)
    assert console.client.get("/admin/account").status_code == 303


def test_another_role_ends_the_sessions_that_were_begun_with_the_old_one(console, console_at) -> None:
    token, eve = console.become("ada"), console_at()
    eve.become("<i>eve")
    form = {"csrf_token": token, "role": "admin", "tenant": ""}
    assert console.client.post("/admin/operators/at/%3Ci%3Eeve/role", data=form).status_code == 303
    assert eve.client.get("/admin/tenants").status_code == 303
    eve.client.cookies.clear()
    eve.sign_in("<i>eve", PASSWORD)
    assert eve.client.get("/admin/operators/new").status_code == 200


def test_who_is_made_anew_under_an_old_name_has_none_of_the_old_sessions(console, console_at) -> None:
    token, eve = console.become("ada"), console_at()
    eve.become("<i>eve")
    console.client.post("/admin/operators/at/%3Ci%3Eeve/removal", data={"csrf_token": token, "confirm": "<i>eve"})
    console.client.post("/admin/operators", data={"csrf_token": token, "name": "<i>eve", "role": "admin"})
    assert console.client.get("/admin/operators/at/%3Ci%3Eeve").status_code == 200
    assert eve.client.get("/admin/tenants").status_code == 303


def test_a_session_row_of_another_operator_proves_nothing(console) -> None:
    console.become("ada")
    with closing(sqlite3.connect(console.services.database.file)) as database:
        database.execute("UPDATE console_session SET operator = '<i>eve'")
        database.commit()
    assert console.client.get("/admin").status_code == 303
