"""Who may do what: each credential opens its own API alone, each role has its rights, and tenants know no other."""

from contextlib import asynccontextmanager

import httpx
import pytest

from gateway.api.admin.access import RIGHTS
from gateway.api.admin.document import public_path
from gateway.api.admin.routes import OPERATIONS
from gateway.db.errors import DatabaseUnreachable
from gateway.services import operator_tokens, operators

CHANGES = [made for made in OPERATIONS if made.method != "GET"]


def filled(made, **names):
    """The path of an operation with names for its parameters."""
    path = public_path(made)
    for name in made.parameters:
        path = path.replace("{" + name + "}", names.get(name, "none"))
    return path


@pytest.mark.parametrize("made", OPERATIONS, ids=lambda made: made.work.__name__)
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


@pytest.mark.parametrize("made", [made for made in OPERATIONS if "tenant" in made.parameters], ids=lambda m: m.path)
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
