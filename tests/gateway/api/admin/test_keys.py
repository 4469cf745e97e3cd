"""Keys by the admin API: shown once, narrowed, rotated, revoked; and used at once."""

from datetime import UTC, datetime, timedelta


def listed(gateway, key):
    return gateway.request("GET", "/v1/models", headers={"authorization": f"Bearer {key}"})


def test_a_key_is_shown_once_and_works_at_once(admin, running, tenant, newest_event):
    assert admin.ask("PUT", f"/tenants/{tenant}/grants/*", {}, match="*").status_code == 200
    reply = admin.ask("POST", f"/tenants/{tenant}/keys", {"name": "app", "scopes": ["models"]})
    key = reply.json()
    path = reply.headers["location"].removeprefix("/admin/api/v1")
    assert listed(running, key["key"]).status_code == 200
    secret = key["key"].rpartition(key["id"] + "-")[2]
    for shown in (admin.get(path), admin.get(f"/tenants/{tenant}/keys"), admin.get(f"/tenants/{tenant}/audit")):
        assert key["id"] in shown.text
        assert secret not in shown.text
    assert secret not in repr(newest_event())
    assert admin.ask("DELETE", path).status_code == 204
    assert listed(running, key["key"]).status_code == 401
    assert admin.get(path).json()["revoked_at"]
    assert admin.ask("DELETE", path).status_code == 204


def test_what_is_left_out_stays_and_null_takes_away(admin, tenant):
    soon = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    key = admin.make(f"/tenants/{tenant}/keys", {"expires_at": soon, "scopes": ["rerank", "embeddings"]})
    path = f"/tenants/{tenant}/keys/{key['id']}"
    named = admin.ask("PATCH", path, {"name": "new"}, match="*").json()
    assert (named["name"], named["scopes"]) == ("new", ["embeddings", "rerank"])
    assert named["expires_at"]
    freed = admin.ask("PATCH", path, {"expires_at": None, "scopes": None}, match="*").json()
    assert (freed["name"], freed["scopes"], freed["expires_at"]) == ("new", None, None)
    for body in (
        {"scopes": []},
        {"scopes": ["all"]},
        {"expires_at": "2020-01-01T00:00:00Z"},
        {"expires_at": "2999-01-01T00:00:00"},
        {"secret_sha256": ""},
        {"tenant_id": "tn_other"},
        {"lineage": "x"},
        {"revoked_at": None},
    ):
        assert admin.ask("PATCH", path, body, match="*").status_code == 400, body
    assert admin.get(path).json() == freed


def test_a_rotation_leaves_both_keys_working_for_a_while(admin, running, tenant):
    admin.ask("PUT", f"/tenants/{tenant}/grants/*", {}, match="*")
    old = admin.make(f"/tenants/{tenant}/keys", {})
    new = admin.make(f"/tenants/{tenant}/keys/{old['id']}/rotation", {"overlap": 600})
    assert [listed(running, key).status_code for key in (old["key"], new["key"]["key"])] == [200, 200]
    assert new["old"] == old["id"]
    last = admin.make(f"/tenants/{tenant}/keys/{new['key']['id']}/rotation", {"overlap": 0})
    assert [listed(running, key).status_code for key in (new["key"]["key"], last["key"]["key"])] == [401, 200]
    ids = [old["id"], new["key"]["id"], last["key"]["id"]]
    keys = admin.get(f"/tenants/{tenant}/keys").json()["data"]
    assert [(key["id"], key["lineage"]) for key in keys] == [(id_, old["id"]) for id_ in ids]


def test_a_tenant_admin_runs_the_keys_of_its_tenant(program, running, tenant):
    asker = program("tenant_admin", tenant)
    key = asker.make(f"/tenants/{tenant}/keys", {})
    path = f"/tenants/{tenant}/keys/{key['id']}"
    assert asker.ask("PUT", f"{path}/grants/tests/*", {"deny": True}, match="*").json() == {
        "pattern": "tests/*", "deny": True, "key_id": key["id"],
    }  # fmt: skip
    assert asker.ask("DELETE", f"{path}/grants/tests/*").status_code == 204
    assert asker.ask("DELETE", f"{path}/grants/tests/*").status_code == 404
    actors = {event["actor"] for event in asker.get(f"/tenants/{tenant}/audit").json()["data"]}
    assert f"{asker.operator} (token {asker.token_id})" in actors
