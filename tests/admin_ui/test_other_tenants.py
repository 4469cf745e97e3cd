"""What is another tenant's, asked for in every way that the table of routes offers."""

import http.client
import re
import sqlite3
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from console_pages import Shown

TABLES = ("tenant", "apikey", "modelgrant", "quotarule", "operator", "operatortoken", "auditevent")
FORM = {
    "name": "taken",
    "expires": "",
    "overlap": "0",
    "allow": "*",
    "deny": "",
    "model_pattern": "*",
    "requests": "1",
    "confirm": "zenith",
    "lane": "bulk",
    "weight": "1",
    "task": "embed",
    "model": "m",
    "texts": "x",
    "preview": "",
}
"""Good for every form of a tenant's."""


def stored(console) -> dict[str, list[tuple]]:
    """All that operators write."""
    with closing(sqlite3.connect(console.services.database.file)) as database:
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        kept = [name for name in names if name.replace("_", "") in TABLES]
        assert len(kept) == len(TABLES), names
        return {name: sorted(map(repr, database.execute(f"SELECT * FROM {name}"))) for name in kept}


@pytest.fixture
def their_key(console) -> str:
    token = console.become("ada")
    url = f"/admin/tenants/{console.tenant_id('zenith')}/keys"
    page = console.client.post(url, data={"csrf_token": token, "name": "theirs", "expires": ""}).text
    return re.search(r"sk-shoal-([a-z0-9]{12})-", page)[1]


def of_keys(console):
    return [(method, path) for method, path, _ in console.routes() if "{key:str}" in path]


@pytest.mark.parametrize("operator", ["ada", "tina"])
def test_a_key_is_found_under_its_own_tenant_alone(console, their_key, operator) -> None:
    token, before = console.become(operator), stored(console)
    routes = of_keys(console)
    assert len(routes) > 8
    for method, path in routes:
        address = path.replace("{tenant:str}", console.tenant_id("acme")).replace("{key:str}", their_key)
        answer = console.client.request(
            method, address, data={"csrf_token": token, **FORM} if method == "POST" else None
        )
        missing = console.client.request(
            method,
            address.replace(their_key, "a" * 12),
            data={"csrf_token": token, **FORM} if method == "POST" else None,
        )
        assert answer.status_code == missing.status_code == 404, (method, path)
        assert "theirs" not in answer.text
        assert answer.text.replace(their_key, "a" * 12) == missing.text, (method, path)
    assert stored(console) == before


def test_the_key_is_there_under_its_own(console, their_key) -> None:
    console.become("ada")
    reads = [path for method, path in of_keys(console) if method == "GET"]
    for path in reads:
        address = path.replace("{tenant:str}", console.tenant_id("zenith")).replace("{key:str}", their_key)
        assert console.client.get(address).status_code == 200, path


def test_no_form_of_ones_own_tenant_reaches_into_another(console, their_key) -> None:
    """Whatever it names: every field that could be an id is that of the other tenant, or of its key."""
    zenith = console.tenant_id("zenith")
    token = console.become("tina")
    before = {name: [row for row in rows if zenith in row] for name, rows in stored(console).items()}
    fields = dict.fromkeys(
        ("tenant", "tenant_id", "key", "key_id", "id", "target", "owner", "subject", "version"), zenith
    )
    for method, path, handler in console.routes():
        if method == "POST" and handler.opt.get("right") == "tenant.change":
            for other in (fields, dict.fromkeys(fields, their_key), dict.fromkeys(fields, "zenith")):
                address = path.replace("{tenant:str}", console.tenant_id("acme")).replace("{key:str}", "a" * 12)
                answer = console.client.post(address, data=FORM | other | {"csrf_token": token})
                assert answer.status_code < 500, path
    assert {name: [row for row in rows if zenith in row] for name, rows in stored(console).items()} == before


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"])
def test_another_tenant_and_none_at_all_answer_alike(console, their_key, method) -> None:
    zenith, token = console.tenant_id("zenith"), console.become("tina")
    nobody = "tn_" + "a" * (len(zenith) - 3)
    for _, path, _ in console.routes():
        if "{tenant:str}" not in path:
            continue
        said = []
        for tenant, key in ((zenith, their_key), (nobody, "a" * 12)):
            address = re.sub(r"\{\w+:\w+\}", "x", path.replace("{tenant:str}", tenant).replace("{key:str}", key))
            data = {"csrf_token": token, **FORM} if method == "POST" else None
            answer = console.client.request(method, address, data=data)
            kept = {name: value for name, value in answer.headers.items() if name not in {"date", "set-cookie"}}
            kept.pop("content-length", None)
            text = answer.text.replace(tenant, "…").replace(key, "…")
            said.append((answer.status_code, kept, text))
        assert said[0] == said[1], path
        assert said[0][0] in {204, 404, 405}, path


def test_what_is_counted_of_other_tenants_is_not_said(console, their_key) -> None:
    console.become("tina")
    home = f"/admin/tenants/{console.tenant_id('acme')}"
    for method, path, handler in console.routes():
        if method == "GET" and handler.opt.get("right") in {"tenant.look", "tenant.change"} and "{key" not in path:
            for query in ("", "?q=zenith", "?actor=ada", f"?key={their_key}&after={their_key}&target={their_key}"):
                answer = console.client.get(path.replace("/admin/tenants/{tenant:str}", home) + query)
                assert answer.status_code < 500, path
                left = answer.text.replace('value="zenith"', "").replace(f"key={their_key}", "").replace("q=zenith", "")
                left = re.sub(rf'value="[^"]*{their_key}[^"]*"|after={their_key}|target={their_key}', "", left)
                assert "zenith" not in left, path + query
                assert their_key not in left, path + query


TRICKS = [
    "{own}/../{other}",
    "{own}/../{other}/keys",
    "{own}/%2e%2e/{other}",
    "{own}/%2E%2E%2F{other}",
    "{own}%2f..%2f{other}",
    "{own};/../{other}",
    "{own}//../{other}",
    "./{other}",
    "/{other}",
    "//{other}/audit",
    "{other}/",
    "{other}%20",
    "{other}%00",
    "{other}%09",
    "%7B{other}%7D",
    "{own},{other}",
    "{own}?tenant={other}",
    "{own}/keys?tenant={other}&tenant_id={other}",
    "{own}%3Ftenant={other}",
    "{own}#/../{other}",
    "{own}\\..\\{other}",
    "{own}/keys/../../{other}/keys",
    "{OTHER}",
]


@pytest.fixture(scope="module")
def raw(full_console):
    """Ask for a path as it is: no client tidies it up."""
    where = urlsplit(full_console.url)

    def raw(path: str, operator: str = "tina", method: str = "GET") -> tuple[int, str]:
        connection = http.client.HTTPConnection(where.hostname, where.port, timeout=30)
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in full_console.headers_of(Shown("/", operator=operator)).items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    return raw


@pytest.mark.parametrize("trick", TRICKS)
@pytest.mark.parametrize("prefix", ["/admin/tenants/", "/admin/./tenants/", "/%61dmin/tenants/", "/ADMIN/tenants/"])
def test_no_spelling_of_an_address_leads_to_another_tenant(full_console, raw, trick, prefix) -> None:
    own, other = full_console.ids["tenant"], full_console.ids["other_tenant"]
    status, text = raw(prefix + trick.format(own=own, other=other, OTHER=other.upper()))
    assert status in {200, 303, 400, 404}, text
    assert "zenith" not in text
    assert "theirs" not in text
    if status == 200:  # one's own
        assert own in text


@pytest.mark.parametrize(
    "path", ["/admin//operators", "/admin/operators/", "/admin/./audit", "/admin/nodes%2f", "/admin/%2e/"]
)
def test_no_spelling_of_a_page_of_the_fleet_is_open_to_a_tenants_operator(raw, path) -> None:
    assert raw(path)[0] in {303, 404} or "acme" in raw(path)[1]
    assert raw(path, "")[0] in {303, 404}
