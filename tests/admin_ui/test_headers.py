import re

import pytest

from admin_ui.headers import SECURITY_HEADERS


@pytest.mark.parametrize("path", ["/admin", "/admin/sign-in", "/admin/nowhere", "/admin/static/app.css", "/elsewhere"])
def test_every_answer_carries_the_security_headers(console, path) -> None:
    answer = console.client.get(path)
    for name, value in SECURITY_HEADERS.items():
        assert answer.headers[name] == value


def test_the_policy_allows_own_files_only_and_nothing_inline_and_no_frame(console) -> None:
    policy = console.client.get("/admin/sign-in").headers["content-security-policy"]
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert directives["default-src"] == "'none'"
    assert directives["style-src"] == "'self'"
    assert directives["frame-ancestors"] == directives["base-uri"] == "'none'"
    assert directives["form-action"] == "'self'"
    assert directives["script-src"] == directives["connect-src"] == "'self'"
    assert not re.search("unsafe|nonce|sha256|data:|blob:|http|[*]", policy)


def test_pages_are_never_cached_and_files_are(console) -> None:
    console.become("ada")
    page = console.client.get("/admin")
    assert page.headers["cache-control"] == "no-store"
    stylesheet = re.search(r'href="(/admin/static/app\.css\?v=[0-9a-f]{12})"', page.text)
    assert stylesheet is not None
    style = console.client.get(stylesheet[1])
    assert style.status_code == 200
    assert style.headers["content-type"].startswith("text/css")
    assert "max-age=31536000" in style.headers["cache-control"]


def test_pages_hold_nothing_that_the_policy_forbids(console, make_node, make_resident) -> None:
    console.services.nodes.nodes = [make_node("http://a:9000", make_resident("small", 128))]
    sign_in = console.client.get("/admin/sign-in").text
    console.become("ada")
    for page in (sign_in, console.client.get("/admin").text, console.client.get("/admin/nowhere").text):
        without_own = re.sub(r'<script src="/admin/static/app\.js[?]v=[0-9a-f]{12}" defer></script>', "", page)
        assert not re.search(r"<script|<style|\sstyle=|\son\w+=|https?://(?!a:9000)", without_own)
