import asyncio
import re
import threading
from html import unescape

import pytest
from msgspec.structs import replace

from engine import errors
from engine.protocol import LoadProgress
from gateway.engine_client import EngineClient
from gateway.errors import Unavailable
from gateway.services.pools.loads import NEXT_STEPS, next_step
from gateway.services.snapshot.entries import PolicySnapshot, TenantEntry, UpstreamEntry
from policies.allowlist import Grant


class Engine(EngineClient):
    """A node's client that notes what it is told; it waits for `gate`, and refuses with `refusal`."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.refusal: str | None = None
        self.status_now = None

    async def _do(self, verb: str, ref):
        while not self.gate.is_set():
            await asyncio.sleep(0.01)
        if self.refusal:
            raise Unavailable(self.refusal)
        self.told.append((verb, ref.id))
        return self.status_now

    async def load(self, _node, model, _patience):
        return await self._do("load", model)

    async def unload(self, _node, model, _patience):
        return await self._do("unload", model)

    async def pin(self, _node, model, _patience):
        return await self._do("pin", model)

    async def unpin(self, _node, model, _patience):
        return await self._do("unpin", model)


@pytest.fixture
def engine(console, make_node) -> Engine:
    """The one node of the pool `default`."""
    node, client = make_node("http://10.0.0.1:9000"), Engine()
    node.client, client.status_now = client, node.status
    console.services.nodes.nodes = [node]
    return client


def send(console, path: str, csrf_token: str, **fields):
    return console.client.post(path, data={"csrf_token": csrf_token, **fields})


def register(console, token: str, id_: str = "org/m", **more):
    fields = {"source": id_, "id": id_, "pool": "default", "aliases": "", "dtype": "", "max_tokens": "", "unseen": "on"}
    return send(console, "/admin/models", token, **fields | more)


def log(console) -> list[str]:
    return re.findall(r'class="badge quiet">([a-z]+\.[a-z]+)<', console.client.get("/admin/audit").text)


def test_models_are_listed_searched_and_paged(console) -> None:
    token = console.become("ada")
    assert "No model is registered yet" in console.client.get("/admin/models").text
    for number in range(52):
        assert register(console, token, f"org/m{number:02}", aliases=f"alias{number}").status_code == 303
    page = console.client.get("/admin/models").text
    assert "org/m49" in page
    assert "org/m50" not in page
    assert "org/m51" in console.client.get("/admin/models?after=org/m49").text
    found = console.client.get("/admin/models?q=ALIAS51").text
    assert "org/m51" in found
    assert "org/m50" not in found
    assert "No model matches" in console.client.get("/admin/models/now?q=<i>").text


def test_a_list_says_where_models_are(console, make_node, make_resident) -> None:
    token = console.become("ada")
    for id_ in ("a/in", "b/out", "c/bad", "d/soon"):
        register(console, token, id_)
    bad = make_resident("c/bad", 0, "failed", failure="broken")
    console.services.nodes.nodes = [
        make_node("http://1:9000", make_resident("a/in", 5), bad, make_resident("d/soon", 9, "loading")),
        make_node("http://2:9000", make_resident("a/in", 5)),
    ]
    page = console.client.get("/admin/models").text
    for text in ("in memory of 2 of 2 nodes", "not loaded", "failed on 1 of 2 nodes", "loading on 1 of 2 nodes"):
        assert text in page


def test_a_model_shows_its_places_failures_with_the_next_step_and_its_tenants(
    console, make_node, make_resident
) -> None:
    token = console.become("ada")
    register(console, token, aliases="m")
    bad = make_resident("org/m", 0, "failed", failure="weights are <b>broken")
    console.services.nodes.nodes = [
        make_node("http://1:9000", bad),
        make_node("http://2:9000", make_resident("org/m", 5, pinned=True)),
        make_node("http://3:9000", healthy=False, failure="gone"),
    ]
    tenants = {
        "tn_a": TenantEntry("tn_a", "by alias", False, (Grant("m"),), (), aliases={"ours": "org/m"}),
        "tn_b": TenantEntry("tn_b", "other", False, (Grant("x/*"),), ()),
    }
    console.services.feed.current = PolicySnapshot(tenants=tenants)
    page = console.client.get("/admin/models/at/org/m").text
    assert "weights are &lt;b&gt;broken" in page
    assert "Look at its source" in page
    assert "not there" in page
    assert "away" in page
    assert "1 of 2 tenants" in page
    assert "calls it ours" in page
    assert "weights are" in console.client.get("/admin/models/where/org/m").text
    assert console.client.get("/admin/models/at/org/other").status_code == 404


def test_how_far_a_load_is_stands_on_every_page_that_shows_the_node(console, make_node, make_resident) -> None:
    token = console.become("ada")
    register(console, token)
    old = make_resident("org/m", 5, "loading")
    half = replace(old, progress=LoadProgress("read", 3 * 2**29, 3 * 2**30, 65.0))
    early = replace(old, progress=LoadProgress("wait", 0, 0, 4.0))
    console.services.nodes.nodes = [make_node("http://1:9000", half)]
    node = re.search(r'href="(/admin/nodes/at/[^"]+)"', console.client.get("/admin/nodes").text)[1]
    pages = ("/admin/models/at/org/m", "/admin/models/where/org/m", "/admin", "/admin/overview/pools", node)
    for path in pages:
        page = console.client.get(path).text
        assert '<progress aria-label="org/m: reading its weights" max="1000" value="500">' in page, path
        assert "reading its weights, <b>50 %</b>" in page, path
        assert "1.5 GiB of 3 GiB" in page, path
        assert "for 1 min" in page, path
    assert "loading on 1 of 1 node, 50 %" in console.client.get("/admin/models").text
    console.services.nodes.nodes = [make_node("http://1:9000", early)]
    for path in pages:
        page = console.client.get(path).text
        assert '<progress aria-label="org/m: waiting for room"></progress>' in page, path
        assert "for 4 s" in page, path
    console.services.nodes.nodes = [make_node("http://1:9000", old)]
    assert "<progress" in console.client.get("/admin/models/at/org/m").text


def load_errors() -> set[str]:
    """The codes of all errors that a load can end with."""
    kinds = [errors.OutOfMemory, errors.Draining, errors.ModelError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    return {kind.code for kind in kinds if kind is not errors.ModelError}


@pytest.mark.parametrize("code", sorted(load_errors()))
def test_every_error_of_a_load_has_a_next_step_of_its_own(console, make_node, make_resident, code) -> None:
    register(console, console.become("ada"))
    failed = replace(make_resident("org/m", 0, "failed", failure="It broke."), failure_code=code)
    console.services.nodes.nodes = [make_node("http://1:9000", failed)]
    page = unescape(console.client.get("/admin/models/at/org/m").text)
    assert "It broke." in page
    assert f"Next: {NEXT_STEPS[code]}" in page
    assert f"Next: {next_step('of a later version')}" not in page


def test_a_model_is_loaded_unloaded_pinned_and_unpinned_on_its_nodes(console, engine) -> None:
    token = console.become("ada")
    register(console, token)
    for verb, text in (("load", "is in the memory"), ("pin", "is pinned"), ("unpin", "evicted"), ("unload", "is out")):
        version = console.hidden(console.client.get("/admin/models/at/org/m").text, "version")
        fields = {"version": version} if verb.endswith("pin") else {}
        answer = send(console, f"/admin/models/{verb}/org/m", token, **fields)
        assert answer.headers["location"] == "/admin/models/at/org/m"
        assert text in console.client.get("/admin/models/at/org/m").text
    assert engine.told == [("load", "org/m"), ("pin", "org/m"), ("unpin", "org/m"), ("unload", "org/m")]
    assert log(console)[:3] == ["model.unpin", "model.pin", "model.add"]


def test_what_a_node_refuses_is_told_and_the_register_promises_nothing(console, engine) -> None:
    token = console.become("ada")
    register(console, token)
    engine.refusal = "It needs <9 GiB>."
    send(console, "/admin/models/pin/org/m", token)
    page = console.client.get("/admin/models/at/org/m").text
    assert page.count("It needs &lt;9 GiB&gt;.") == 2  # once said, and kept for as long as it is the last word
    assert "another pool" in page
    assert log(console)[0] == "model.add"
    assert "It needs &lt;9 GiB&gt;." in console.client.get("/admin/models/where/org/m").text


def test_a_load_that_takes_long_goes_on_and_is_shown_until_its_end(console, engine) -> None:
    token = console.become("ada")
    engine.gate.clear()
    register(console, token, load="on")
    assert "is being loaded" in console.client.get("/admin/models/at/org/m").text
    assert "It is being loaded" in console.client.get("/admin/models/where/org/m").text
    send(console, "/admin/models/unload/org/m", token)
    assert "wait for the end of that" in console.client.get("/admin/models/at/org/m").text
    engine.gate.set()
    for _ in range(200):
        if "It is being loaded" not in console.client.get("/admin/models/where/org/m").text:
            break
    assert engine.told == [("load", "org/m")]


def test_where_no_node_is_there_a_load_says_so_and_a_pin_is_kept_for_later(console) -> None:
    token = console.become("ada")
    register(console, token)
    send(console, "/admin/models/load/org/m", token)
    assert "no engine node here now" in console.client.get("/admin/models/at/org/m").text
    send(console, "/admin/models/pin/org/m", token)
    assert log(console)[0] == "model.pin"


def test_who_pins_what_somebody_else_changed_is_told_instead(console, engine) -> None:
    token = console.become("ada")
    register(console, token)
    version = console.hidden(console.client.get("/admin/models/at/org/m").text, "version")
    send(console, "/admin/models/pin/org/m", token, version=version)
    send(console, "/admin/models/pin/org/m", token, version=version)
    assert "Somebody changed this model meanwhile" in console.client.get("/admin/models/at/org/m").text
    assert engine.told == [("pin", "org/m")]


SETTINGS = "/admin/models/settings/org/m"


def test_settings_are_saved_and_stand_in_the_log(console, engine) -> None:
    token = console.become("ada")
    register(console, token, aliases="m")
    version = console.hidden(console.client.get(SETTINGS).text, "version")
    wanted = {"pool": "default", "aliases": "m\nn", "dtype": "float16", "max_tokens": "64", "version": version}
    assert send(console, SETTINGS, token, **wanted).status_code == 303
    page = console.client.get("/admin/models/at/n").text
    assert "float16" in page
    assert "The settings are saved" in page
    assert log(console)[0] == "model.update"


def test_settings_with_every_field_wrong_say_all_of_it_and_keep_what_was_typed(console, engine) -> None:
    token = console.become("ada")
    register(console, token)
    wrong = {"pool": "<i>", "aliases": "no way\nö", "dtype": "int3", "max_tokens": "many"}
    answer = send(console, SETTINGS, token, **wrong)
    assert answer.status_code == 422
    assert "4 fields need another look" in answer.text
    for name in wrong:
        assert f'id="{name}-error"' in answer.text
    assert unescape(answer.text).count("no way") == 2
    assert 'value="many"' in answer.text
    register(console, token, "other")
    taken = send(console, SETTINGS, token, pool="default", aliases="other", dtype="", max_tokens="")
    assert "belongs to the model &#39;other&#39;" in taken.text


def test_two_tabs_that_change_one_model_both_see_what_the_other_saved(console, engine) -> None:
    token = console.become("ada")
    register(console, token)
    version = console.hidden(console.client.get(SETTINGS).text, "version")
    one = {"pool": "default", "aliases": "first", "dtype": "", "max_tokens": "10", "version": version}
    assert send(console, SETTINGS, token, **one).status_code == 303
    late = send(console, SETTINGS, token, **one | {"aliases": "second"})
    assert late.status_code == 409
    assert "Saved now: <b>first</b>" in late.text
    assert "second" in late.text
    again = {**one, "aliases": "second", "version": console.hidden(late.text, "version")}
    assert send(console, SETTINGS, token, **again).status_code == 303
    assert console.client.get("/admin/models/at/second").status_code == 200


@pytest.mark.parametrize("typed", ["", "ORG/M", "m"])
def test_a_model_is_removed_only_by_who_types_its_id(console, typed) -> None:
    token = console.become("ada")
    register(console, token, aliases="m")
    url = "/admin/models/removal/org/m"
    version = console.hidden(console.client.get(url).text, "version")
    answer = send(console, url, token, confirm=typed, version=version)
    assert answer.status_code == 422
    assert "Type org/m to go on" in answer.text
    stale = send(console, url, token, confirm="org/m", version="7")
    assert stale.status_code == 409
    assert send(console, url, token, confirm="org/m", version=version).status_code == 303
    assert "no longer registered" in console.client.get("/admin/models").text
    assert console.client.get("/admin/models/at/m").status_code == 404


def test_models_of_upstreams_are_asked_for_by_their_name_there_and_not_loaded(
    console, make_node, make_resident
) -> None:
    token = console.become("ada")
    entry = UpstreamEntry("up_1", "far", "openai", "https://api.example/v1", None)
    console.services.feed.current = PolicySnapshot(upstreams={"far": (entry,)})
    node = make_node("https://api.example/v1", make_resident("their-large", 0), budget=0)
    node.pool, node.name = "far", "https://api.example/v1#up_1"
    console.services.nodes.nodes = [node]
    assert "/admin/models/new?pool=far" in console.client.get("/admin/models/new").text
    form = console.client.get("/admin/models/new?pool=far").text
    assert "their-large" in form
    wanted = {"elsewhere": "far", "id": "large", "source": "their-large", "aliases": "", "max_tokens": "", "load": "on"}
    assert send(console, "/admin/models", token, **wanted).headers["location"] == "/admin/models/at/large"
    page = console.client.get("/admin/models/at/large").text
    assert "their-large" in page
    assert ">Load<" not in page
    assert ">Pin<" not in page
    assert "1 of 1 upstream there" in console.client.get("/admin/models").text
    send(console, "/admin/models/load/large", token)
    assert "see to their models themselves" in console.client.get("/admin/models/at/large").text


def test_a_viewer_is_offered_nothing_that_changes(console, engine) -> None:
    register(console, console.become("ada"))
    console.become("<i>eve")
    for path in ("/admin/models", "/admin/models/at/org/m", "/admin/nodes"):
        page = console.client.get(path)
        assert page.status_code == 200
        for word in ("Register a model", ">Load<", ">Unload<", ">Pin<", ">Remove<", ">Settings<"):
            assert word not in page.text, (path, word)
