"""Upstreams by the admin API: looked at, registered, their keys changed and never shown."""

import pytest
from fake_upstream import KEY, FakeUpstream

OTHER = "sk-another-credential-7d0e1b2c3"


@pytest.fixture(scope="module")
def server():
    made = FakeUpstream().start()
    yield made
    made.stop()


@pytest.fixture
def upstream(admin, server):
    """A registered one; it is gone afterwards."""
    made = admin.make("/upstreams", {"pool": "of-others", "base_url": server.url, "key": KEY})
    yield made
    admin.ask("DELETE", f"/upstreams/{made['id']}")


def test_a_look_says_what_is_there(admin, server):
    body = {"base_url": server.url, "key": KEY}
    assert admin.ask("POST", "/upstream-looks", body).json() == {"models": ["chat", "mini", "rank"], "problem": None}
    wrong = admin.ask("POST", "/upstream-looks", body | {"key": OTHER}).json()
    assert "does not accept the credential" in wrong["problem"]
    nobody = admin.ask("POST", "/upstream-looks", {"base_url": "http://127.0.0.1:1"}).json()
    assert "can not be reached" in nobody["problem"]
    inside = admin.ask("POST", "/upstream-looks", {"base_url": "http://169.254.169.254/latest"}).json()
    assert "metadata" in inside["problem"]


def test_an_upstream_is_registered_and_its_key_is_never_shown(admin, upstream, running, newest_event):
    assert (upstream["has_key"], upstream["version"]) == (True, 1)
    assert upstream["base_url"].endswith("/v1")
    event = newest_event()
    assert (event.action, event.target, event.after["has_key"]) == ("upstream.add", upstream["id"], True)
    for path in ("/upstreams", f"/upstreams/{upstream['id']}", "/nodes", "/audit"):
        assert KEY not in admin.get(path).text
    assert all(KEY not in str(row) and KEY.encode().hex() not in str(row) for row in running.dump()["upstream"])
    running.wait_until(lambda: next(iter(running.services.nodes.pools["of-others"])).health.well)
    (node,) = [node for node in admin.get("/nodes").json()["data"] if node["pool"] == "of-others"]
    assert (node["healthy"], node["status"]["device"]) == (True, "upstream")


def test_a_key_is_changed_by_whoever_has_seen_the_latest_version(admin, upstream, newest_event):
    path = f"/upstreams/{upstream['id']}/key"
    assert admin.ask("PUT", path, {"key": OTHER}).status_code == 428
    changed = admin.ask("PUT", path, {"key": OTHER}, match='"1"')
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    assert newest_event().action == "upstream.set_key"
    assert admin.ask("PUT", path, {"key": None}, match='"1"').status_code == 409
    assert admin.ask("PUT", path, {"key": None}, match="*").json()["has_key"] is False


def test_one_is_moved_by_whoever_has_seen_the_latest_and_its_key_stays_at_its_host(admin, upstream, newest_event):
    path = f"/upstreams/{upstream['id']}"
    assert admin.ask("PATCH", path, {"kind": "tei"}).status_code == 428
    elsewhere = admin.ask("PATCH", path, {"base_url": "https://evil.example/v1"}, match='"1"')
    assert (elsewhere.status_code, elsewhere.json()["error"]["param"]) == (400, "base_url")
    assert admin.ask("PATCH", path, {"pool": "default"}, match='"1"').status_code == 409
    moved = admin.ask("PATCH", path, {"base_url": upstream["base_url"] + "/deeper"}, match='"1"')
    assert (moved.status_code, moved.headers["etag"]) == (200, '"2"')
    assert (moved.json()["pool"], moved.json()["base_url"]) == ("of-others", upstream["base_url"] + "/deeper")
    event = newest_event()
    assert (event.action, event.before["base_url"]) == ("upstream.update", upstream["base_url"])
    assert admin.ask("PATCH", path, {}, match='"2"').headers["etag"] == '"2"', "nothing changed"
    assert admin.ask("PATCH", path, {"pool": "x"}, match='"1"').status_code == 409
    admin.ask("PUT", path + "/key", {"key": None}, match="*")
    free = admin.ask("PATCH", path, {"base_url": "https://api.example.org", "kind": "openai"}, match="*")
    assert free.json()["base_url"] == "https://api.example.org/v1"


def test_engine_pools_are_not_for_upstreams_and_engine_calls_not_for_theirs(admin, upstream, server, running):
    refused = admin.ask("POST", "/upstreams", {"pool": "default", "base_url": server.url})
    assert (refused.status_code, refused.json()["error"]["param"]) == (409, "pool")
    admin.make("/models", {"id": "others/chat", "source": "chat", "pool": "of-others"})
    asked = len(server.asked)
    assert admin.ask("PUT", "/residents/others/chat").status_code == 409
    assert not [a for a in server.asked[asked:] if a.method == "POST"]  # where a node's secret would have gone along


@pytest.mark.parametrize(
    "body",
    [
        {"base_url": "file:///etc/passwd"}, {"base_url": "http://user:pass@host/v1"}, {"base_url": "http://h/v1?x=1"},
        {"base_url": "http://h/../v1"}, {"base_url": "gopher://h"}, {"base_url": "http://h/v1", "key": "a b"},
        {"base_url": "http://h/v1", "key": "a\r\nx-evil: 1"}, {"base_url": "http://h/v1", "kind": "grpc"},
    ],
)  # fmt: skip
def test_what_is_no_upstream_is_refused(admin, body):
    assert admin.ask("POST", "/upstreams", {"pool": "nowhere", **body}).status_code == 400


def test_only_admins_change_upstreams(program, upstream, server):
    viewer = program("viewer")
    assert viewer.get("/upstreams").status_code == 200
    for method, path, body in (
        ("POST", "/upstreams", {"pool": "x", "base_url": server.url}),
        ("POST", "/upstream-looks", {"base_url": server.url}),
        ("PATCH", f"/upstreams/{upstream['id']}", {"pool": "x"}),
        ("PUT", f"/upstreams/{upstream['id']}/key", {"key": None}),
        ("DELETE", f"/upstreams/{upstream['id']}", None),
    ):
        assert viewer.ask(method, path, body, match="*").status_code == 403


def test_a_removed_upstream_is_called_no_more(admin, server, running):
    made = admin.make("/upstreams", {"pool": "short-lived", "base_url": server.url, "key": KEY})
    assert "short-lived" in running.services.nodes.pools
    assert admin.ask("DELETE", f"/upstreams/{made['id']}").status_code == 204
    assert "short-lived" not in running.services.nodes.pools
    assert admin.get(f"/upstreams/{made['id']}").status_code == 404
