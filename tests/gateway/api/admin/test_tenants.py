"""Tenants by the admin API: made, changed, suspended, deleted; two at once conflict; every change is in the log."""


def test_a_tenant_lives_and_dies(admin, newest_event):
    made = admin.ask("POST", "/tenants", {"name": "Žluť & co", "weight": 2.5})
    assert made.status_code == 201
    path = made.headers["location"].removeprefix("/admin/api/v1")
    assert path == f"/tenants/{made.json()['id']}"
    assert (made.json()["name"], made.json()["lane"], made.json()["weight"]) == ("Žluť & co", "interactive", 2.5)
    assert made.headers["cache-control"] == "no-store"
    assert admin.get("/tenants/Žluť & co").json() == made.json()
    changed = admin.ask("PATCH", path, {"lane": "bulk"}, match=made.headers["etag"])
    assert (changed.json()["lane"], changed.json()["weight"]) == ("bulk", 2.5)
    assert changed.headers["etag"] == f'"{changed.json()["version"]}"' != made.headers["etag"]
    event = newest_event()
    assert (event.action, event.actor, event.origin) == (
        "tenant.update", f"{admin.operator} (token {admin.token_id})", "127.0.0.1",
    )  # fmt: skip
    assert admin.ask("DELETE", path).status_code == 204
    assert admin.get(path).status_code == 404
    assert admin.ask("DELETE", path).status_code == 404


def test_a_suspension_is_a_state(admin, running):
    caller = running.caller()
    path = f"/tenants/{caller.tenant}/suspension"
    for _ in range(2):
        suspended = admin.ask("PUT", path)
        assert suspended.status_code == 200
        assert suspended.json()["suspended_at"]
    assert running.embed(caller, {"input": "x"}).status_code == 403
    assert [admin.ask("DELETE", path).status_code for _ in range(2)] == [204, 204]
    assert running.embed(caller, {"input": "x"}).status_code == 200


def test_a_change_that_has_not_seen_the_last_one_is_refused(admin, tenant, newest_event):
    seen = admin.get(f"/tenants/{tenant}").headers["etag"]
    assert admin.ask("PATCH", f"/tenants/{tenant}", {"weight": 2}, match=seen).status_code == 200
    late = admin.ask("PATCH", f"/tenants/{tenant}", {"weight": 3}, match=seen)
    assert (late.status_code, late.json()["error"]["code"]) == (409, "version_conflict")
    blind = admin.ask("PATCH", f"/tenants/{tenant}", {"weight": 3})
    assert (blind.status_code, blind.json()["error"]["code"]) == (428, "precondition_required")
    assert admin.ask("DELETE", f"/tenants/{tenant}", match=seen).status_code == 409
    assert admin.ask("PATCH", f"/tenants/{tenant}", {"weight": 3}, match='"x"').status_code == 400
    assert admin.get(f"/tenants/{tenant}").json()["weight"] == 2
    assert admin.ask("PATCH", f"/tenants/{tenant}", {"weight": 4}, match="*").json()["weight"] == 4
    assert newest_event().before["weight"] == 2


def test_a_list_comes_in_parts_and_what_is_added_meanwhile_shifts_nothing(admin):
    for name in ("list-a", "list-b", "list-c"):
        admin.make("/tenants", {"name": name})
    first = admin.get("/tenants?limit=2&after=list-").json()
    assert [row["name"] for row in first["data"]] == ["list-a", "list-b"]
    admin.make("/tenants", {"name": "list-aa"})
    rest = admin.get("/tenants", params={"limit": 1, "after": first["next"]}).json()
    assert [row["name"] for row in rest["data"]] == ["list-c"]
    last = admin.get("/tenants?after=￿￿").json()
    assert last == {"data": [], "next": None}


def test_only_known_fields_are_taken(admin, tenant):
    for body, field in (
        ({"name": "mass", "suspended_at": None}, "suspended_at"),
        ({"name": "mass", "id": "tn_mine"}, "id"),
        ({"name": "mass", "version": 9}, "version"),
    ):
        refused = admin.ask("POST", "/tenants", body)
        assert refused.status_code == 400
        assert field in refused.json()["message"]
    for body in ({"id": "x"}, {"version": 7}, {"created_at": "2020-01-01T00:00:00Z"}, {"weight": "2"}, {"weight": 0}):
        assert admin.ask("PATCH", f"/tenants/{tenant}", body, match="*").status_code == 400
    assert admin.get("/tenants?limit=0").status_code == 400
    assert admin.get("/tenants?limit=2&limit=3").status_code == 400
    assert admin.get("/tenants?order=name").status_code == 400


def test_a_name_is_taken_once(admin):
    admin.make("/tenants", {"name": "twice"})
    taken = admin.ask("POST", "/tenants", {"name": "twice"})
    assert (taken.status_code, taken.json()["error"]["param"]) == (409, "name")
