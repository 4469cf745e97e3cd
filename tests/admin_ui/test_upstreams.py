"""Upstreams in the console: listed with how they are, registered, changed, given another key, removed."""

import re
import sqlite3
from contextlib import closing
from html import unescape

import anyio
import pytest

from gateway.db.session import Database
from gateway.services.register.audit import Actor
from gateway.services.register.models import NewModel, add_model
from gateway.services.snapshot.entries import PolicySnapshot, UpstreamEntry
from gateway.services.upstreams.probe import Found

KEY = "sk-upstream-0123456789abcdef"
NEW = {"base_url": "https://api.example.org", "kind": "openai", "pool": "far", "credential": KEY}
GUARDED = "The upstream can not be called: 10.0.0.1 is private, and may be called only where --allow-upstream names it."


def send(console, path: str, token: str, **fields):
    return console.client.post(path, data={"csrf_token": token, **fields})


@pytest.fixture
def token(console) -> str:
    return console.become("ada")


def register(console, token: str, **more) -> str:
    """The address of its page."""
    answer = send(console, "/admin/upstreams", token, **NEW | more)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def page(console, url: str) -> str:
    answer = console.client.get(url)
    assert answer.status_code == 200
    return unescape(answer.text)


def stored(console, what: str = "*") -> list[tuple]:
    with closing(sqlite3.connect(console.services.database.file)) as database:
        return database.execute(f"SELECT {what} FROM upstream ORDER BY created_at").fetchall()


def newest(console) -> str:
    return re.findall(r'class="badge quiet">([a-z]+\.[a-z_]+)<', console.client.get("/admin/audit").text)[0]


def test_one_is_looked_at_registered_and_listed_and_its_key_is_shown_to_nobody(console, token) -> None:
    assert "No upstream is registered yet" in page(console, "/admin/upstreams")
    console.services.upstreams.found = Found(("a", "b"))
    url = register(console, token)
    assert "It says it has 2 models" in page(console, url)
    [looked] = console.services.upstreams.looked
    assert (looked.base_url, looked.key) == ("https://api.example.org/v1", KEY)
    for path in ("/admin/upstreams", url, f"{url}/settings", f"{url}/credential", f"{url}/removal", "/admin/audit"):
        assert KEY not in page(console, path)
    assert "kept, encrypted" in page(console, "/admin/upstreams")
    assert newest(console) == "upstream.add"
    [(credential,)] = stored(console, "credential")
    assert KEY.encode() not in credential


def test_a_form_with_every_field_wrong_says_all_of_it_and_keeps_what_was_typed(console, token) -> None:
    wrong = {"base_url": "ftp://<b>", "kind": "grpc", "pool": "default", "credential": "two words"}
    answer = send(console, "/admin/upstreams", token, **wrong)
    assert answer.status_code == 422
    assert "4 fields need another look" in answer.text
    for name in wrong:
        assert f'id="{name}-error"' in answer.text
    assert 'value="ftp://&lt;b&gt;"' in answer.text
    assert "two words" not in answer.text
    assert stored(console) == []
    assert console.services.upstreams.looked == []


@pytest.mark.parametrize(
    ("found", "at"),
    [
        (Found(problem=GUARDED), "base_url"),
        (Found(problem="The upstream can not be reached: refused."), "base_url"),
        (
            Found(problem="The upstream does not accept the credential that it was given (401).", of_key=True),
            "credential",
        ),
    ],
    ids=["guarded", "away", "wrong key"],
)
def test_what_a_look_finds_wrong_stands_at_its_field_and_may_be_passed_over(console, token, found, at) -> None:
    console.services.upstreams.found = found
    answer = send(console, "/admin/upstreams", token, **NEW)
    assert answer.status_code == 422
    assert f'<span class="error" id="{at}-error">{found.problem}</span>' in answer.text
    assert 'value="https://api.example.org"' in answer.text
    assert KEY not in answer.text
    assert stored(console) == []
    register(console, token, unseen="on")
    assert len(stored(console)) == 1


def test_a_gateway_without_a_secret_key_says_so_and_takes_upstreams_that_need_none(console, token) -> None:
    console.services.upstreams.sealer = None
    assert "--secret-key" in page(console, "/admin/upstreams/new")
    refused = send(console, "/admin/upstreams", token, **NEW)
    assert refused.status_code == 422
    assert 'id="credential-error"' in refused.text
    register(console, token, credential="")
    assert stored(console, "credential") == [(None,)]


def test_its_page_says_how_it_is_and_what_is_wrong(console, token, make_node, make_resident) -> None:
    url = register(console, token, credential="")
    assert "not followed yet" in page(console, url)
    id_ = url.rpartition("/")[2]
    node = make_node("https://api.example.org/v1", make_resident("their-<i>model", 0), budget=0, pool="far")
    node.name = f"https://api.example.org/v1#{id_}"
    console.services.nodes.nodes = [node]
    assert "their-<i>model" in page(console, url)
    assert "healthy" in page(console, f"{url}/now")
    node.healthy, node.failure = False, "does not accept the credential"
    for path in (url, f"{url}/now", "/admin/upstreams", "/admin/upstreams/now"):
        assert "does not accept the credential" in page(console, path)
    entry = UpstreamEntry(id_, "far", "openai", "https://api.example.org/v1", None)
    console.services.feed.current = PolicySnapshot(upstreams={"far": (entry,)})
    [at] = re.findall(r'href="(/admin/nodes/at/[^"]+)"', console.client.get("/admin/nodes").text)
    assert f'href="{url}"' in console.client.get(at).text


def test_settings_are_saved_and_those_of_two_tabs_are_both_shown(console, token) -> None:
    url = register(console, token, credential="")
    version = console.hidden(page(console, f"{url}/settings"), "version")
    one = {"base_url": "https://api.example.org/v2", "kind": "tei", "pool": "near", "version": version}
    assert send(console, f"{url}/settings", token, **one).status_code == 303
    assert "near" in page(console, url)
    assert newest(console) == "upstream.update"
    late = send(console, f"{url}/settings", token, **one | {"pool": "elsewhere"})
    assert late.status_code == 409
    assert "Saved now: <b>near</b>" in late.text
    assert 'value="elsewhere"' in late.text
    again = one | {"pool": "elsewhere", "version": console.hidden(late.text, "version")}
    assert send(console, f"{url}/settings", token, **again).status_code == 303
    wrong = send(console, f"{url}/settings", token, base_url="nowhere", kind="?", pool="")
    assert (wrong.status_code, "3 fields need another look" in wrong.text) == (422, True)


def test_a_key_stays_at_its_host_and_is_not_sent_to_a_new_address(console, token) -> None:
    url = register(console, token)
    console.services.upstreams.looked.clear()
    console.services.upstreams.found = Found(problem="It asks for one (401).", of_key=True)
    here = {"base_url": "https://api.example.org/other", "kind": "openai", "pool": "far"}
    assert send(console, f"{url}/settings", token, **here).status_code == 303
    there = send(console, f"{url}/settings", token, **here | {"base_url": "https://evil.example/v1"})
    assert there.status_code == 422
    assert "Its key was given for https://api.example.org" in there.text
    assert [looked.key for looked in console.services.upstreams.looked] == [None, None]
    console.services.upstreams.found = Found(problem=GUARDED)
    guarded = send(console, f"{url}/settings", token, **here | {"base_url": "https://10.0.0.1/v1"})
    assert f'id="base_url-error">{GUARDED}' in guarded.text
    assert stored(console, "base_url") == [("https://api.example.org/other",)]


def test_a_key_is_changed_or_taken_away_by_whoever_saw_the_latest(console, token) -> None:
    url = register(console, token)
    path = f"{url}/credential"
    version = console.hidden(page(console, path), "version")
    for typed in ({}, {"credential": KEY, "none": "on"}):
        assert send(console, path, token, version=version, **typed).status_code == 422
    assert send(console, path, token, version=version, credential=KEY + "x").status_code == 303
    assert console.services.upstreams.looked[-1].key == KEY + "x"
    assert newest(console) == "upstream.set_key"
    late = send(console, path, token, version=version, credential=KEY)
    assert (late.status_code, KEY in late.text) == (409, False)
    again = send(console, path, token, version=console.hidden(late.text, "version"), none="on")
    assert again.status_code == 303
    assert stored(console, "credential") == [(None,)]


def test_its_page_names_the_models_of_its_pool_alone_and_its_removal_counts_them(console, token) -> None:
    async def add() -> None:
        database = Database.open(f"sqlite:///{console.services.database.file}")
        async with database.transaction() as session:
            for id_, pool in (("org/far", "far"), ("org/near", "near"), ("org/a-far", "far")):
                await add_model(session, Actor("ada", "here"), NewModel(id=id_, pool=pool))
        await database.close()

    url = register(console, token, credential="")
    assert "No model is registered in its pool far" in page(console, f"{url}/removal")
    anyio.run(add)
    assert re.findall(r'<li><a class="name" href="([^"]*)">([^<]*)<', page(console, url)) == [
        ("/admin/models/at/org/a-far", "org/a-far"),
        ("/admin/models/at/org/far", "org/far"),
    ]
    assert "requests for 2 models find nobody then" in page(console, f"{url}/removal")


def test_one_is_removed_after_a_second_look(console, token) -> None:
    url = register(console, token, credential="")
    register(console, token, credential="", base_url="https://two.example")
    assert "1 other upstream of the pool far goes on" in page(console, f"{url}/removal")
    stale = send(console, f"{url}/removal", token, version="7")
    assert stale.status_code == 409
    version = console.hidden(stale.text, "version")
    assert send(console, f"{url}/removal", token, version=version).headers["location"] == "/admin/upstreams"
    assert "is no node of the pool far any more" in page(console, "/admin/upstreams")
    assert console.client.get(url).status_code == 404
    assert newest(console) == "upstream.remove"


def test_many_are_paged_and_searched(console, token) -> None:
    for number in range(52):
        register(
            console, token, credential="", unseen="on", base_url=f"https://n{number:02}.example", pool=f"p{number:02}"
        )
    first = page(console, "/admin/upstreams")
    assert "n49.example" in first
    assert "n50.example" not in first
    following = unescape(re.search(r'rel="next" href="([^"]+)"', console.client.get("/admin/upstreams").text)[1])
    assert "n51.example" in page(console, following)
    assert "n51.example" in page(console, "/admin/upstreams?q=P51")
    assert "No upstream matches" in page(console, "/admin/upstreams/now?q=<i>")


def test_viewers_look_and_are_offered_nothing_and_a_tenants_admin_sees_nothing(console, token) -> None:
    url = register(console, token)
    console.become("<i>eve")
    for path in ("/admin/upstreams", url):
        for word in ("Register an upstream", "Change its key", ">Settings<", ">Remove<"):
            assert word not in page(console, path)
    for path in ("/admin/upstreams/new", f"{url}/settings", f"{url}/credential", f"{url}/removal"):
        assert console.client.get(path).status_code == 403
    console.become("tina")
    assert console.client.get(url).status_code == 404
