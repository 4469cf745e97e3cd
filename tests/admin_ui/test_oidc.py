"""Signing in at an OpenID provider: who is let in, as whom, and what is said to the others."""

import re
import sqlite3
from contextlib import closing

import pytest
from fake_provider import come_back, leave, sign_in

from admin_ui.oidc import values_of
from admin_ui.sessions import COOKIE


@pytest.fixture
def console(console_at, oidc_settings):
    return console_at(oidc=oidc_settings)


def rows(console, query: str):
    with closing(sqlite3.connect(console.services.database.file)) as database:
        return database.execute(query).fetchall()


def test_the_form_leads_there_only_where_there_is_a_provider(console, console_at) -> None:
    assert "Sign in at 127.0.0.1" in console.client.get("/admin/sign-in").text
    without = console_at()
    assert "Sign in at" not in without.client.get("/admin/sign-in").text
    for path in ("/admin/sign-in/oidc", "/admin/sign-in/oidc/done"):
        assert without.client.get(path).status_code == 404


def test_who_is_known_there_comes_in_with_their_role_and_a_session_of_their_own(console, provider) -> None:
    console.client.get("/admin/sign-in")
    visitor = console.client.cookies[COOKIE]
    answer = sign_in(console, provider)
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/audit")
    assert console.client.cookies[COOKIE] != visitor
    page = console.client.get("/admin/audit").text
    assert "oidc:grace" in page
    assert "operator.create" in page
    assert "elsewhere, which gives the role" in console.client.get("/admin/operators/at/grace").text
    assert "no password here" in console.client.get("/admin/account").text


def test_a_role_that_changed_there_holds_from_the_next_sign_in_on(console, provider, console_at, oidc_settings) -> None:
    sign_in(console, provider)
    again = console_at(oidc=oidc_settings)
    sign_in(again, provider, groups=["staff", "x"], preferred_username="hopper")
    assert rows(console, "SELECT name, role FROM operator WHERE subject IS NOT NULL") == [("grace", "viewer")]
    sign_in(console_at(oidc=oidc_settings), provider, groups="acme")
    assert rows(console, "SELECT role FROM operator WHERE name = 'grace'") == [("tenant_admin",)]
    assert again.client.get("/admin/audit").status_code == 303, "it ended what was begun with another"


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"groups": ["nobody"]}, "gives it a role here"),
        ({"groups": None}, "gives it a role here"),
        ({"groups": {"ops": True}}, "gives it a role here"),
        ({"preferred_username": "ada"}, "already another operator"),
        ({"preferred_username": "a\u200bb"}, "invisible characters"),
        ({"preferred_username": ".."}, "no part of an address"),
        ({"groups": ["gone"]}, "nobody"),
    ],
)
def test_who_has_no_place_here_is_told_why(console, provider, claims, said) -> None:
    answer = sign_in(console, provider, **claims)
    assert answer.status_code == 403
    assert said in answer.text
    assert console.client.get("/admin").status_code == 303


def test_a_provider_that_is_away_is_said_to_be_and_passwords_still_work(console, provider) -> None:
    provider.close()
    answer = console.client.get("/admin/sign-in/oidc")
    assert (answer.status_code, "can not be reached" in answer.text) == (502, True)
    assert console.sign_in("ada", "correct horse battery").status_code == 303


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"preferred_username": "a/b", "email": "grace@navy.test"}, "grace@navy.test"),
        ({"preferred_username": "x" * 65, "email": 7}, "1"),
        ({"preferred_username": None, "sub": "auth0|a/b"}, r"sub-[0-9a-f]{16}"),
        ({"preferred_username": "", "sub": "s" * 200}, r"sub-[0-9a-f]{16}"),
    ],
)
def test_who_has_no_name_that_can_be_one_here_comes_in_all_the_same(console, provider, claims, name) -> None:
    assert sign_in(console, provider, **claims).status_code == 303
    [(made,)] = rows(console, "SELECT name FROM operator WHERE subject IS NOT NULL")
    assert re.fullmatch(name, made)
    assert console.client.get("/admin/account").status_code == 200


def test_after_signing_in_elsewhere_the_browser_stays_in_the_console(console, provider) -> None:
    said = provider.authorize(leave(console, "https://evil.test/"))
    assert come_back(console, said).headers["location"] == "/admin"


def test_who_signs_in_elsewhere_has_no_password_here(console, provider) -> None:
    sign_in(console, provider)
    for password in ("", "!", "None"):
        assert console.sign_in("grace", password).status_code == 401
    token = console.become("ada")
    answer = console.client.post("/admin/operators/at/grace/password", data={"csrf_token": token})
    assert (answer.status_code, "signs in elsewhere" in answer.text) == (422, True)


def test_claims_within_claims_are_found() -> None:
    claims = {"realm": {"roles": ["a", "b", 3]}, "x.y": "c", "n": 7}
    assert values_of(claims, "realm.roles") == {"a", "b"}
    assert values_of(claims, "x.y") == {"c"}
    assert values_of(claims, "realm.none.at.all") == values_of(claims, "n") == frozenset()
