"""Wherever an address may name the next one, the browser stays in the console."""

from urllib.parse import unquote, urljoin, urlsplit

import pytest

from admin_ui.ways import safe_next

PASSWORD = "correct horse battery"
ELSEWHERE = [
    "https://evil.test",
    "//evil.test",
    "///evil.test",
    "/\\evil.test",
    "\\\\evil.test",
    "/admin\\@evil.test",
    "https:evil.test",
    "https:/evil.test",
    "http:///evil.test",
    "@evil.test",
    "/admin@evil.test",
    "/admin.evil.test",
    ":@evil.test",
    "javascript:alert(1)",
    "data:text/html,x",
    "/\t/evil.test",
    "/\n/evil.test",
    "\t//evil.test",
    " //evil.test",
    "/admin/\r\nlocation: https://evil.test",
    "/admin/%0d%0alocation:%20https://evil.test",
    "/admin/\u3002evil.test",
    "//evil\u3002test",
    "/\uff0fevil.test",
    "/admin/..//evil.test",
    "/admin/../v1/models",
    "/admin/%2e%2e/v1/models",
    "/admin/.%2E/v1/models",
    "/admin/tenants/../../other",
    "/admin/..",
    "/ADMIN",
    "/administrator",
    "admin",
    "?next=//evil.test",
    "#//evil.test",
    "",
    "\x00/admin",
    "/admin/\ud800".encode("utf-8", "replace").decode(),
]


def lands(location: str) -> str:
    """Where a browser goes from the console: it drops tabs and line ends, and takes backslashes for slashes."""
    seen = "".join(letter for letter in location if letter not in "\t\r\n").strip().replace("\\", "/")
    return urljoin("http://console.test/admin/sign-in", seen)


def stays(location: str) -> bool:
    landed = urlsplit(lands(location))
    inside = landed.path == "/admin" or landed.path.startswith("/admin/")
    dots = {".", ".."} & set(unquote(landed.path).split("/"))
    return (landed.scheme, landed.netloc) == ("http", "console.test") and inside and not dots


@pytest.mark.parametrize("target", ELSEWHERE)
def test_a_way_out_is_not_taken(target) -> None:
    taken = safe_next(target)
    assert stays(taken), taken
    assert not set(taken) & set("\r\n\t\\\0 ")


@pytest.mark.parametrize("target", ELSEWHERE)
def test_no_form_and_no_link_leads_out(console, target) -> None:
    shown = console.client.get("/admin/sign-in", params={"next": target})
    assert stays(console.hidden(shown.text, "next"))
    token = console.become("ada")
    theme = {"csrf_token": token, "theme": "dark", "next": target}
    assert stays(console.client.post("/admin/theme", data=theme).headers["location"])


@pytest.mark.parametrize("target", [*(one for one in ELSEWHERE[:6]), "/admin/../v1/models"])
def test_signing_in_leads_to_no_other_place_and_sends_no_held_form_there(console, target) -> None:
    answer = console.sign_in("ada", PASSWORD, next=target, held_action=target, held_fields="a=b")
    assert answer.status_code == 303
    assert stays(answer.headers["location"])


@pytest.mark.parametrize("path", ["//evil.test/x", "/admin//evil.test", "/admin/\\evil.test", "/admin/%5cevil.test"])
def test_who_is_asked_to_sign_in_comes_back_to_the_console(console, path) -> None:
    answer = console.client.get(f"http://console.test{path}")
    assert answer.status_code in {303, 404}
    if answer.status_code == 303:
        assert stays(answer.headers["location"])
        page = console.client.get(answer.headers["location"])
        assert stays(console.hidden(page.text, "next"))


@pytest.mark.parametrize(
    "target",
    [
        "/admin",
        "/admin/",
        "/admin?x=1",
        "/admin/models/at/org/a..b",
        "/admin/audit?actor=..&from=2026-11-01",
        "/admin/x.y",
    ],
)
def test_pages_of_the_console_are_gone_back_to(target) -> None:
    assert safe_next(target) == target


def test_every_redirect_is_to_a_path_whatever_the_host_is_called(console) -> None:
    token = console.become("ada")
    headers = {"host": "evil.test", "x-forwarded-host": "evil.test", "forwarded": "host=evil.test"}
    for answer in (
        console.client.post("/admin/theme", data={"csrf_token": token, "theme": "dark"}, headers=headers),
        console.client.post("/admin/sign-out", data={"csrf_token": token}, headers=headers),
        console.client.get("/admin/audit", headers=headers),
    ):
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/admin")
        assert "evil" not in answer.headers["location"] + answer.text


EVE = "/admin/operators/at/%3Ci%3Eeve"


def test_pages_whose_names_are_odd_are_come_back_to_as_well(console) -> None:
    asked = console.client.get(EVE)
    page = console.client.get(asked.headers["location"]).text
    assert console.hidden(page, "next") == EVE
    assert console.sign_in("ada", PASSWORD, next=console.hidden(page, "next")).headers["location"] == EVE
    page = console.client.get(EVE).text
    assert console.hidden(page, "next") == EVE
    form = {"csrf_token": console.hidden(page, "csrf_token"), "theme": "dark", "next": EVE}
    assert console.client.post("/admin/theme", data=form).headers["location"] == EVE


def test_a_form_of_such_a_page_is_held_too(console) -> None:
    page = console.client.post(f"{EVE}/removal", data={"confirm": "x"}, headers={"origin": "http://console.test"}).text
    held = {name: console.hidden(page, name) for name in ("held_action", "held_fields")}
    assert held["held_action"] == f"{EVE}/removal"
    assert f'action="{EVE}/removal"' in console.sign_in("ada", PASSWORD, **held).text
