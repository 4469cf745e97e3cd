"""Models, nodes, operators, tokens, grants, aliases, the log and usage by the admin API."""

import csv
import io
import json


def test_a_model_with_slashes_is_registered_found_and_removed(admin, running):
    reply = admin.ask("POST", "/models", {"id": "team/new-model", "aliases": ["newest"], "max_tokens": 128})
    assert reply.headers["location"] == "/admin/api/v1/models/team/new-model"
    for path in ("/models/team/new-model", "/models/team%2Fnew-model", "/models/newest"):
        assert admin.get(path).json() == reply.json()
    assert admin.ask("POST", "/models", {"id": "other", "aliases": ["newest"]}).status_code == 409
    assert admin.ask("DELETE", "/models/newest").status_code == 204
    assert admin.get("/models/newest").status_code == 404


def test_models_are_loaded_unloaded_pinned_and_unpinned_on_every_node(admin, running):
    admin.make("/models", {"id": "team/resident"})
    node = f"http://127.0.0.1:{running.engine_port}"
    loaded = admin.ask("PUT", "/residents/team/resident").json()
    assert [place["node"] for place in loaded["nodes"]] == [node]
    assert admin.ask("PUT", "/pins/team%2Fresident").json()["pinned"] is True
    assert admin.get("/models/team/resident").json()["pinned"] is True
    assert admin.ask("DELETE", "/pins/team/resident").status_code == 204
    assert admin.get("/models/team/resident").json()["pinned"] is False
    assert admin.ask("DELETE", "/residents/team/resident").status_code == 204
    admin.make("/models", {"id": "team/elsewhere", "pool": "elsewhere"})
    nowhere = admin.ask("PUT", "/residents/team/elsewhere")
    assert (nowhere.status_code, nowhere.json()["error"]["code"]) == (503, "no_engine_node")


def test_nodes_are_shown_as_last_heard(admin, running):
    [node] = admin.get("/nodes").json()["data"]
    assert (node["pool"], node["healthy"], node["url"]) == ("default", True, f"http://127.0.0.1:{running.engine_port}")
    assert node["status"]["memory_budget"] > 0


def test_operators_and_tokens_are_made_shown_once_and_removed(admin, tenant, newest_event):
    made = admin.make("/operators", {"name": "new person", "role": "tenant_admin", "tenant": tenant})
    assert made["tenant_id"] == tenant
    token = admin.make("/tokens", {"operator": "new person", "read_only": True})
    secret = token["token"].rpartition(token["id"] + "-")[2]
    for path in ("/operators", "/operators/new person", "/tokens", f"/tokens/{token['id']}", "/audit"):
        shown = admin.get(path)
        assert shown.status_code == 200
        assert secret not in shown.text
        assert made["password"] not in shown.text
    changed = admin.ask("PUT", "/operators/new person/password", {}, match=f'"{made["version"]}"')
    assert changed.json()["password"] != made["password"]
    stale = admin.ask("PUT", "/operators/new person/password", {}, match=f'"{made["version"]}"')
    assert stale.status_code == 409
    assert admin.ask("DELETE", f"/tokens/{token['id']}").status_code == 204
    assert admin.get(f"/tokens/{token['id']}").json()["revoked_at"]
    assert admin.ask("DELETE", "/operators/new person").status_code == 204
    assert admin.get("/operators/new person").status_code == 404
    assert newest_event().action == "operator.remove"
    assert admin.ask("POST", "/operators", {"name": "x", "role": "root"}).status_code == 400


def test_a_role_is_changed_at_once_for_tokens_and_by_admins_alone(admin, program, tenant, newest_event):
    asker, theirs = program("viewer"), {"role": "admin"}
    path = f"/operators/{asker.operator}"
    version = admin.get(path).json()["version"]
    for who in (asker, program("tenant_admin", tenant)):
        for name in (asker.operator, who.operator):
            assert who.ask("PUT", f"/operators/{name}/role", theirs, match="*").status_code == 403
    raised = admin.ask("PUT", f"{path}/role", theirs, match=f'"{version}"')
    assert (raised.status_code, raised.json()["role"], newest_event().action) == (200, "admin", "operator.role")
    assert asker.ask("PUT", f"{path}/password", {}, match="*").status_code == 200
    assert admin.ask("PUT", f"{path}/role", {"role": "viewer"}, match=f'"{version}"').status_code == 409
    confined = admin.ask("PUT", f"{path}/role", {"role": "tenant_admin", "tenant": tenant}, match="*")
    assert confined.json()["tenant_id"] == tenant
    assert asker.get("/operators").status_code == 403
    for wrong in ({"role": "root"}, {"role": "tenant_admin"}, {"role": "viewer", "tenant": tenant}, {}, {"name": "x"}):
        assert admin.ask("PUT", f"{path}/role", wrong, match="*").status_code == 400
    assert admin.ask("PUT", f"{path}/role", {"role": "viewer"}).status_code == 428


def test_grants_and_aliases_are_changes_of_their_tenant(admin, running):
    caller = running.caller(allow=())
    tenant = f"/tenants/{caller.tenant}"
    assert running.embed(caller, {"input": "x"}).status_code == 404
    seen = admin.get(tenant).headers["etag"]
    granted = admin.ask("PUT", f"{tenant}/grants/tests/*", {}, match=seen)
    assert granted.json() == {"pattern": "tests/*", "deny": False, "key_id": None}
    assert granted.headers["etag"] == admin.get(f"{tenant}/grants").headers["etag"] != seen
    assert admin.ask("PUT", f"{tenant}/grants/other", {}, match=seen).status_code == 409
    assert admin.ask("PUT", f"{tenant}/grants/other", {}).status_code == 428
    assert running.embed(caller, {"input": "x"}).status_code == 200
    named = admin.ask("PUT", f"{tenant}/aliases/ours/best", {"model": "mini"}, match=granted.headers["etag"])
    assert named.json() == {"alias": "ours/best", "model_id": "tests/mini"}
    assert running.embed(caller, {"input": "x", "model": "ours/best"}).status_code == 200
    assert admin.get(f"{tenant}/aliases").json()["data"] == [named.json()]
    assert admin.ask("DELETE", f"{tenant}/aliases/ours/best").status_code == 204
    assert admin.ask("DELETE", f"{tenant}/aliases/ours/best").status_code == 404
    assert admin.ask("DELETE", f"{tenant}/grants/tests/*").status_code == 204
    assert running.embed(caller, {"input": "x"}).status_code == 404
    assert admin.ask("PUT", f"{tenant}/grants/not a pattern", {}, match="*").status_code == 400


def test_usage_is_exported_as_it_is_read(admin, running):
    caller = running.caller()
    for _ in range(3):
        running.embed(caller, {"input": "a text"})
    running.wait_until(lambda: len(running.usage(caller)) == 3)
    rows = admin.get(f"/tenants/{caller.tenant}/usage")
    assert rows.headers["content-type"] == "text/csv"
    table = list(csv.DictReader(io.StringIO(rows.text)))
    assert [row["key_id"] for row in table] == [caller.key_id] * 3
    lines = admin.get(f"/tenants/{caller.tenant}/usage?format=jsonl").text.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [row["id"] for row in table]
    past = admin.get(f"/tenants/{caller.tenant}/usage?start=2020-01-01T00:00:00Z&end=2020-02-01T00:00:00Z")
    assert past.text.count("\n") == 1
    by_day = admin.get(f"/tenants/{caller.tenant}/usage?by=day&format=jsonl").text.splitlines()
    assert [json.loads(line)["requests"] for line in by_day] == [3]
    [total] = admin.get(f"/tenants/{caller.tenant}/usage/summary?by=model").json()["data"]
    assert (total["name"], total["requests"], total["tokens"]) == (
        "tests/mini",
        3,
        sum(int(row["tokens"]) for row in table),
    )
    for query in ("start=2020-01-02T00:00:00Z&end=2020-01-01T00:00:00Z", "start=yesterday", "format=xml"):
        assert admin.get(f"/tenants/{caller.tenant}/usage?{query}").status_code == 400
    assert admin.get("/tenants/nowhere/usage").status_code == 404


def test_the_log_comes_in_parts_newest_first(admin, tenant):
    for weight in (2, 3, 4):
        admin.ask("PATCH", f"/tenants/{tenant}", {"weight": weight}, match="*")
    first = admin.get(f"/tenants/{tenant}/audit?limit=2").json()
    assert [event["after"]["weight"] for event in first["data"]] == [4, 3]
    rest = admin.get(f"/tenants/{tenant}/audit", params={"after": first["next"]}).json()
    assert [event["action"] for event in rest["data"]] == ["tenant.update", "tenant.create"]
    assert rest["next"] is None
    assert admin.get("/audit?limit=1").json()["next"]
