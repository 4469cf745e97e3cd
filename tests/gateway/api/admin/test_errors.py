"""Whatever is wrong with a request, the answer is the one error body with the status that fits."""

import pytest


def test_what_is_no_route_no_method_or_no_json(admin, tenant):
    for method, path, options, status in (
        ("GET", "/nothing", {}, 404),
        ("GET", "", {}, 404),
        ("POST", f"/tenants/{tenant}", {}, 405),
        ("TRACE", "/tenants", {}, 405),
        ("POST", "/tenants", {"content": b"{", "headers": {"content-type": "application/json"}}, 400),
        ("POST", "/tenants", {"content": b"[]", "headers": {"content-type": "application/json"}}, 400),
        ("POST", "/tenants", {"content": b"\xff", "headers": {"content-type": "application/json"}}, 400),
        ("POST", "/tenants", {"content": b'{"name":"\\ud800"}', "headers": {"content-type": "application/json"}}, 400),
        ("POST", "/tenants", {"content": b"", "headers": {"content-type": "application/json"}}, 400),
        ("POST", "/tenants", {"content": b'{"name":"x"}', "headers": {"content-type": "text/plain"}}, 415),
        ("POST", "/tenants", {"content": b'{"name":"x"}'}, 415),
        ("POST", "/tenants", {"data": {"name": "x"}}, 415),
        ("POST", "/tenants", {"content": b" " * 65537, "headers": {"content-type": "application/json"}}, 413),
    ):
        reply = admin.ask(method, path, **options)
        assert reply.status_code == status, (method, path, options, reply.text)
        assert set(reply.json()) == {"error", "message", "detail"}
        assert reply.headers["content-type"] == "application/json"
        assert reply.headers["x-request-id"]
    assert "GET" in admin.ask("POST", f"/tenants/{tenant}").headers["allow"]


@pytest.mark.parametrize("name", ["", " x", "x ", "x\n", "\u200b", "x" * 65, "\u0000", "\u202ex"])
def test_a_name_that_nobody_could_read_is_refused(admin, name):
    assert admin.ask("POST", "/tenants", {"name": name}).status_code == 400
    assert admin.ask("POST", "/operators", {"name": name, "role": "viewer"}).status_code == 400


def test_one_spelling_is_one_name(admin):
    admin.make("/tenants", {"name": "é one"})
    assert admin.ask("POST", "/tenants", {"name": "e\u0301 one"}).status_code == 409
    assert admin.get("/tenants/e\u0301 one").json()["name"] == "é one"


def test_hostile_names_are_names(admin):
    for name in ("'; DROP TABLE tenant; --", "<script>alert(1)</script>", "%", "_", "..", "a%2Fb", "{{7*7}}"):
        made = admin.make("/tenants", {"name": name})
        assert made["name"] == name
        assert admin.get(f"/tenants/{made['id']}").json() == made
    assert [row["name"] for row in admin.get("/tenants?after=%25&limit=1").json()["data"]] != ["%"]
