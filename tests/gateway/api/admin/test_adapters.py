"""Adapters by the admin API: registered beside their model, listed, removed as models are."""

import pytest


@pytest.fixture
def base(admin):
    made = admin.make("/models", {"id": "org/base", "aliases": ["base"], "max_tokens": 64})
    yield made
    for one in admin.get("/adapters/org/base").json()["data"]:
        admin.ask("DELETE", f"/models/{one['id']}")
    admin.ask("DELETE", "/models/org/base")


def test_one_is_its_model_under_a_name_of_its_own(admin, base, newest_event):
    made = admin.ask("POST", "/adapters", {"id": "base:legal", "adapter": "org/legal@v2", "aliases": ["law"]})
    assert (made.status_code, made.headers["location"]) == (201, "/admin/api/v1/models/base%3Alegal")
    body = made.json()
    assert (body["facts"]["base"], body["facts"]["adapter"]) == ("org/base", "org/legal@v2")
    assert (body["source"], body["max_tokens"], body["aliases"]) == ("org/base", 64, ["law"])
    assert newest_event().action == "model.add"
    assert [one["id"] for one in admin.get("/adapters/base").json()["data"]] == ["base:legal"]
    assert admin.get("/models/law").json()["id"] == "base:legal"
    assert admin.ask("DELETE", "/models/base:legal").status_code == 204
    assert admin.get("/adapters/org/base").json()["data"] == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"id": "legal", "adapter": "x"}, 400),
        ({"id": "nobody:legal", "adapter": "x"}, 404),
        ({"id": "base:", "adapter": "x"}, 400),
        ({"id": "base:legal", "adapter": "https://hub/x"}, 400),
        ({"id": "base:legal"}, 400),
    ],
)
def test_what_can_be_none_is_refused(admin, base, body, status):
    assert admin.ask("POST", "/adapters", body).status_code == status
    assert admin.get("/adapters/org/base").json()["data"] == []


def test_none_is_on_another_or_on_a_model_of_upstreams_and_only_admins_add_one(admin, base, program):
    admin.make("/adapters", {"id": "base:legal", "adapter": "x"})
    on_another = admin.ask("POST", "/adapters", {"id": "base:legal:more", "adapter": "y"})
    assert (on_another.status_code, "adapter itself" in on_another.text) == (400, True)
    upstream = admin.make("/upstreams", {"pool": "theirs", "base_url": "https://api.example.org"})
    admin.make("/models", {"id": "theirs", "pool": "theirs"})
    refused = admin.ask("POST", "/adapters", {"id": "theirs:x", "adapter": "y"})
    assert (refused.status_code, "load no adapters" in refused.text) == (400, True)
    admin.ask("DELETE", "/models/theirs")
    admin.ask("DELETE", f"/upstreams/{upstream['id']}")
    viewer = program("viewer")
    assert viewer.get("/adapters/org/base").status_code == 200
    assert viewer.ask("POST", "/adapters", {"id": "base:b", "adapter": "x"}).status_code == 403
