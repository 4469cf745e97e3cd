"""What is in pages, of all of them: no script of anybody else's, nothing that misleads, and headers that say so."""

import re
from html import unescape
from html.parser import HTMLParser

import httpx
import pytest
from console_pages import DONE_AT_ONCE, FILES, FRAGMENTS, SHOWN, Shown, routes
from full_console import HOSTILE, FullConsole
from jinja2 import Environment

from admin_ui.headers import SECURITY_HEADERS
from admin_ui.rendering import HERE
from admin_ui.views.usage import MEDIA
from admin_ui.wording import MISLEADING

VOID = {"br", "col", "hr", "img", "input", "link", "meta", "wbr"}
LEADING = {"href", "src", "action", "formaction", "data", "poster", "background", "ping", "xlink:href", "srcset"}
"""Attributes that are addresses."""


class Markup(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}> closes nothing")

    @property
    def problems(self) -> list[str]:
        """What the console's policy forbids, and what is no markup of ours."""
        found = self.wrong + [f"<{tag}> is not closed" for tag in self.open]
        for tag, attributes in self.found:
            if tag in {"style", "iframe", "frame", "object", "embed", "applet", "base", "template"}:
                found.append(f"<{tag}>")
            if tag == "script" and not attributes.get("src", "").startswith("/admin/static/app.js?v="):
                found.append("a script of its own")
            if tag == "meta" and "http-equiv" in attributes:
                found.append("a header in markup")
            for name, value in attributes.items():
                if name.startswith("on") or name in {"style", "srcdoc"}:
                    found.append(f"{name}={value}")
                if name in LEADING and not value.startswith(("/admin", "#main")):
                    found.append(f"{name}={value}")
        return found


@pytest.fixture(scope="module")
def browser() -> httpx.Client:
    with httpx.Client(follow_redirects=True, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def open_page(console_of, browser):
    def open_page(shown: Shown) -> httpx.Response:
        console: FullConsole = console_of(shown)
        headers, url = console.headers_of(shown), console.url_of(shown)
        browser.cookies.clear()
        if "cookie" in headers:  # kept by the client, which on a redirect sends none but its own
            browser.cookies.set(*headers.pop("cookie").split("=", 1))
        if shown.form is None:
            return browser.get(url, headers=headers)
        return browser.post(url, headers=headers, data=console.form_of(shown))

    return open_page


@pytest.mark.parametrize("shown", SHOWN, ids=str)
def test_a_page_has_only_our_own_markup_and_headers(shown, open_page) -> None:
    answer = open_page(shown)
    if shown.status:
        assert answer.status_code == shown.status, answer.text
    else:
        assert answer.status_code in {409, 422}, answer.text
    assert "<html" in answer.text
    assert Markup(answer.text).problems == []
    assert MISLEADING.search(answer.text) is None
    assert {name: answer.headers.get(name) for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


def test_what_a_page_refreshes_is_there(open_page, console_of, browser) -> None:
    found: dict[str, Shown] = {}
    for shown in SHOWN:
        if shown.form is None:
            found |= dict.fromkeys(re.findall(r'data-live="([^"]+)"', open_page(shown).text), shown)
    assert len(found) >= len(FRAGMENTS)
    for address, shown in found.items():
        console = console_of(shown)
        answer = browser.get(console.url + unescape(address), headers=console.headers_of(shown) | {"x-live": "1"})
        assert (answer.status_code, "<html" in answer.text) == (200, False), address


@pytest.mark.parametrize("path", sorted(FRAGMENTS))
def test_a_part_of_a_page_has_only_our_own_markup(path, open_page) -> None:
    answer = open_page(Shown(path))
    assert answer.status_code == 200
    assert "<html" not in answer.text
    assert Markup(answer.text).problems == []
    assert MISLEADING.search(answer.text) is None
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", sorted(FILES))
def test_a_file_is_no_page(path, open_page) -> None:
    answer = open_page(Shown(path))
    assert answer.headers["content-type"].partition(";")[0] in MEDIA.values()
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert {name: answer.headers.get(name) for name in SECURITY_HEADERS} == SECURITY_HEADERS


def test_every_route_is_among_what_is_looked_at() -> None:
    looked = {("GET" if shown.form is None else "POST", shown.path) for shown in SHOWN}
    looked |= {("GET", path) for path in FRAGMENTS | FILES} | {("POST", path) for path in DONE_AT_ONCE}
    assert {(method, path) for method, path, _ in routes()} <= looked


def test_what_hostile_nodes_say_is_shown_as_words(open_page) -> None:
    page = open_page(Shown("/nodes/at/{failing_node:str}")).text
    assert "&lt;script&gt;document.title=" in page
    assert "\N{REPLACEMENT CHARACTER}" in page
    assert "<script>document" not in page
    assert MISLEADING.search(HOSTILE) is not None


def test_every_template_is_rendered_by_a_page_that_is_looked_at(open_page, monkeypatch) -> None:
    """With strict undefined: a name that a template asks for and nobody gives is an error 500."""
    seen: set[str] = set()
    loaded = Environment.get_template

    def noted(environment, name, *rest, **named):
        seen.add(name)
        return loaded(environment, name, *rest, **named)

    monkeypatch.setattr(Environment, "get_template", noted)
    for shown in (*SHOWN, *(Shown(path) for path in sorted(FRAGMENTS))):
        assert open_page(shown).status_code != 500, shown
    every = {str(path.relative_to(HERE / "templates")) for path in (HERE / "templates").rglob("*.html")}
    assert every - seen == set()
