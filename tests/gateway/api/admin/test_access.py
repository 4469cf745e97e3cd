"""Who may do what: each credential opens its own API alone, each role has its rights, and tenants know no other."""

from contextlib import asynccontextmanager
from urllib.parse import quote

import httpx
import msgspec
import pytest

from gateway.api.admin.document import public_path
from gateway.api.admin.operation import PREFIX
from gateway.api.admin.routes import OPERATIONS
from gateway.app import create_admin_api
from gateway.db.errors import DatabaseUnreachable
from gateway.services.access import operator_tokens, operators
from gateway.services.access.roles import RIGHTS

CHANGES = [made for made in OPERATIONS if made.method != "GET"]


def filled(made, **names):
    """The path of an operation with names for its parameters."""
    path = public_path(made)
    for name in made.parameters:
        path = path.replace("{" + name + "}", names.get(name, "none"))
    return path


def named(made):
    return made.work.__name__


@pytest.mark.parametrize("made", OPERATIONS, ids=named)
def test_no_operation_opens_without_an_operator_token(client, caller, made, admin):
    path = "/admin/api/v1" + filled(made, tenant=caller.tenant, key=caller.key_id)
    signed_in = {"cookie": "shoal_console=anything"}
    for headers in (
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": f"Bearer {caller.key}"},
        {"authorization": f"Basic {admin.token}"},
        {"authorization": admin.token},
        {"x-api-key": admin.token},
        {"api-key": admin.token},
        {"authorization": "Bearer op-shoal-aaaaaaaaaaaa-" + "A" * 43},
        {"authorization": f"Bearer {admin.token[:-1]}"},
        {"authorization": f"Bearer {admin.token}' OR '1'='1"},
        signed_in,
        {"x-forwarded-for": "127.0.0.1", "x-real-ip": "127.0.0.1", "host": "localhost"},
    ):
        reply = client.request(made.method, path, headers=headers, json={})
        assert reply.status_code == 401, headers
        assert reply.headers["www-authenticate"].startswith("Bearer")
        assert reply.json()["error"]["type"] == "invalid_request_error"
        assert admin.token[-43:-1] not in reply.text


def test_a_console_session_does_not_open_the_api(gateway_under_test, admin):
    with httpx.Client(base_url=gateway_under_test.url, follow_redirects=True) as browser:
        form = browser.get("/admin/sign-in").text
        token = form.partition('name="csrf_token" value="')[2].partition('"')[0]
        body = {"name": admin.operator, "password": "long enough for tests", "csrf_token": token}
        assert browser.post("/admin/sign-in", data=body).status_code == 200
        assert browser.cookies
        assert browser.get("/admin/api/v1/tenants").status_code == 401
        assert browser.post("/admin/api/v1/tenants", json={"name": "forged"}).status_code == 401


def test_an_operator_token_does_not_open_the_wires(gateway_under_test, admin):
    for header in ("authorization", "api-key", "x-api-key", "x-chroma-token"):
        reply = gateway_under_test.request("GET", "/v1/models", headers={header: f"Bearer {admin.token}"})
        assert reply.status_code == 401
        assert admin.token[-43:] not in reply.text


def test_a_viewer_and_a_read_only_token_change_nothing(program):
    for asker in (program("viewer"), program("admin", read_only=True)):
        assert asker.get("/tenants").status_code == 200
        for made in CHANGES:
            refused = asker.ask(made.method, filled(made), {}, match="*")
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "missing_right"), made.path


def test_a_tenant_admin_sees_nothing_of_the_fleet_and_may_not_raise_what_was_sold(program, running):
    tenant = running.caller().tenant
    asker = program("tenant_admin", tenant)
    own = RIGHTS["tenant_admin"]
    for made in OPERATIONS:
        reply = asker.ask(made.method, filled(made, tenant=tenant), {} if made.body else None, match="*")
        assert (reply.status_code == 403) == (made.right not in own), (made.path, reply.text)
    for path in ("/grants/x", "/quotas", "/suspension", "/aliases/x"):
        assert asker.ask("PUT", f"/tenants/{tenant}{path}", {}, match="*").status_code == 403
    assert asker.get("/self").json()["tenant"] == tenant


@pytest.mark.parametrize("made", [made for made in OPERATIONS if "tenant" in made.parameters], ids=named)
def test_another_tenant_is_one_that_does_not_exist(program, running, admin, made):
    mine, other = running.caller(), running.caller()
    asker = program("tenant_admin", mine.tenant)
    [foreign] = [row for row in admin.get("/tenants?limit=1000").json()["data"] if row["name"] == other.tenant]
    body = {} if made.body else None

    def state():
        keys = admin.get(f"/tenants/{other.tenant}/keys").json()
        return admin.get(f"/tenants/{other.tenant}").json(), keys, admin.get(f"/tenants/{other.tenant}/grants").json()

    before = state()
    for name in (other.tenant, foreign["id"]):
        answers = [
            asker.ask(made.method, filled(made, tenant=tenant, key=other.key_id), body, match="*")
            for tenant in (name, "nowhere")
        ]
        statuses = {answer.status_code for answer in answers}
        assert statuses == ({404} if made.right in RIGHTS["tenant_admin"] else {403})
        there, nowhere = (answer.text.replace(name, "nowhere") for answer in answers)
        assert there == nowhere
    if "key" in made.parameters and made.right in RIGHTS["tenant_admin"]:
        # Its own tenant in the path, another's key behind it.
        crossed = asker.ask(made.method, filled(made, tenant=mine.tenant, key=other.key_id), body, match="*")
        assert crossed.status_code in {404, 400}
    assert state() == before


CROSSED = {"tenant", "key"}
"""Names of things that may be another tenant's: the test above tries each with one that is."""
OF_NOBODY = {
    "limit", "after", "start", "end", "format", "by", "name", "expires_at", "scopes", "overlap", "pattern", "deny",
    "model_pattern", "requests", "tokens", "tokens_per_month", "concurrency",
}  # fmt: skip
"""What names nothing that exists, or nothing that belongs to anybody."""


@pytest.mark.parametrize("made", [made for made in OPERATIONS if made.right in RIGHTS["tenant_admin"]], ids=named)
def test_everything_is_crossed_by_which_a_tenant_admin_could_name_anothers(made):
    """A new operation can not be forgotten: what it takes must be known here."""
    names = set(made.parameters) | {field.name for field in msgspec.structs.fields(made.query)}
    if made.body is not None:
        names |= {field.name for field in msgspec.structs.fields(made.body)}
    unknown = names - CROSSED - OF_NOBODY
    assert not unknown, (
        f"{made.method} {made.path} takes {unknown}: where that can name a thing of another tenant, try it in "
        "test_another_tenant_is_one_that_does_not_exist and add it to CROSSED; else add it to OF_NOBODY."
    )
    assert "tenant" in made.parameters or made.path == "/self", f"{made.path} is of no tenant: give it a right of all"


def test_nothing_is_served_but_the_operations_and_their_document(running):
    app = create_admin_api(running.services)._app
    served = {(method, route.path) for route in app.routes for method in route.methods - {"OPTIONS"}}
    stated = {(made.method, PREFIX + made.path) for made in OPERATIONS}
    assert served == stated | {("GET", f"{PREFIX}/openapi.json")}


INNER = {
    "id", "tenant_id", "secret", "secret_sha256", "password_hash", "version", "created_at", "revoked_at", "lineage",
    "role", "suspended_at", "is_admin", "user_role", "token", "key", "__class__", "engine_secret", "node", "url",
    "api_base",
}  # fmt: skip
"""What rows have, or what others let callers set."""


@pytest.mark.parametrize("made", [made for made in OPERATIONS if made.body is not None], ids=named)
def test_nothing_is_set_that_the_operation_does_not_offer(made, admin, running):
    offered = {field.name for field in msgspec.structs.fields(made.body)}
    caller = running.caller()
    path = filled(made, tenant=caller.tenant, key=caller.key_id, operator=admin.operator)
    before = running.dump()
    for field in INNER - offered:
        refused = admin.ask(made.method, path, {field: "x"}, match="*")
        assert refused.status_code == 400
        assert f"unknown field `{field}`" in refused.text
    assert running.dump() == before


def test_no_node_can_be_named_by_any_operation():
    """Addresses of engine nodes come from the command line alone; upstreams, which no secret of ours is sent to, are an
    admin's to name, and their addresses are looked at when they are called."""
    nodes = [made for made in OPERATIONS if "node" in made.path]
    assert [(made.method, made.path) for made in nodes] == [("GET", "/nodes")]
    to_name_upstreams = {"/upstreams", "/upstreams/{upstream:str}", "/upstream-looks"}
    for made in OPERATIONS:
        if made.path in to_name_upstreams and made.method != "GET":
            assert made.right == "fleet.change"
        elif made.body is not None:
            names = {field.name for field in msgspec.structs.fields(made.body)}
            assert not {name for name in names if "url" in name or "host" in name or "address" in name}, made.path


@pytest.mark.parametrize(
    "source",
    ["http://127.0.0.1:1/x", "https://example.org/m", "file:///etc/passwd", "s3://bucket/m", "HTTP://[::1]/", "a://b"],
)
def test_no_model_comes_from_a_url(admin, running, source):
    before = running.dump()
    refused = admin.ask("POST", "/models", {"id": "org/from-a-url", "source": source})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "source")
    assert running.dump() == before


PATTERNS = ("%", "_", "%25", "*", "?", "' OR '1'='1", "'; DROP TABLE tenant; --", '"', "\\", "tn_%", "a%00b")


@pytest.mark.parametrize("text", PATTERNS)
def test_no_name_is_taken_for_a_pattern_or_for_sql(admin, running, text):
    caller = running.caller(allow=["tests/mini"])
    encoded = quote(text, safe="")
    before = running.dump()
    for made in OPERATIONS:
        if made.parameters and made.method in {"GET", "DELETE"}:
            for name in made.parameters:
                known = {"tenant": caller.tenant, "key": caller.key_id, "pattern": "x", "alias": "x"}
                answer = admin.ask(made.method, filled(made, **(known | {name: encoded})), match="*")
                assert answer.status_code in {400, 404}, (made.method, made.path, answer.text)
    assert running.dump() == before


def test_no_tenant_can_be_named_like_the_id_of_another(admin, tenant):
    assert admin.ask("POST", "/tenants", {"name": tenant}).status_code == 409


def test_a_token_ends_with_its_revocation_and_its_operator(program, running, admin):
    asker = program("viewer")
    assert asker.get("/self").json()["token"]["id"] == asker.token_id
    running.change(operator_tokens.revoke_token, asker.token_id)
    assert asker.get("/self").status_code == 401
    asker = program("viewer")
    running.change(operators.remove_operator, asker.operator)
    assert asker.get("/self").status_code == 401


def test_use_of_a_token_is_noted(program, admin):
    asker = program("viewer")
    assert admin.get(f"/tokens/{asker.token_id}").json()["last_used_at"] is None
    asker.get("/self")
    assert admin.get(f"/tokens/{asker.token_id}").json()["last_used_at"] is not None


def test_a_stranger_learns_nothing_of_a_database_that_is_away(running, admin, client, monkeypatch):
    @asynccontextmanager
    async def away(self):
        raise DatabaseUnreachable("The database postgresql://shoal@10.0.0.9/shoal can not be reached: refused.")
        yield

    monkeypatch.setattr(type(running.services.database), "reading", away)
    reply = client.get("/admin/api/v1/self", headers={"authorization": "Bearer op-shoal-aaaaaaaaaaaa-" + "A" * 43})
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
    assert "10.0.0.9" not in reply.text
