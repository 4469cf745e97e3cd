"""Adapters in the console: listed with their model, looked at, registered, removed."""

import asyncio
import re
import threading
from html import unescape

import pytest
from msgspec.structs import replace

from admin_ui.inspections import InspectedAdapter, InspectionRefused
from admin_ui.views import adapters

HERE = "/admin/models/adapters/org/m"
MIB = 2**20


class Looks:
    """Looks at adapters: refuses with `refusal`, and waits for `gate`."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None, str]] = []
        self.refusal: str | None = None
        self.gate = threading.Event()
        self.gate.set()

    async def inspect(self, _source, _revision):
        raise AssertionError

    async def inspect_adapter(self, source, revision, adapter):
        self.asked.append((source, revision, adapter))
        while not self.gate.is_set():
            await asyncio.sleep(0.01)
        if self.refusal:
            raise InspectionRefused("model_invalid", self.refusal)
        return InspectedAdapter(adapter=adapter, rank=8, modules=24, bytes=3 * MIB)


@pytest.fixture
def looks() -> Looks:
    return Looks()


@pytest.fixture
def console(console_at, looks):
    return console_at(inspect=looks.inspect, inspect_adapter=looks.inspect_adapter)


def send(console, path: str, token: str, **fields):
    return console.client.post(path, data={"csrf_token": token, **fields})


@pytest.fixture
def token(console) -> str:
    """An admin's; the model `org/m` is registered."""
    token = console.become("ada")
    fields = {"source": "org/m", "id": "org/m", "pool": "default", "aliases": "", "dtype": "", "max_tokens": "64"}
    assert send(console, "/admin/models", token, unseen="on", revision="v1", **fields).status_code == 303
    return token


def page(console, url: str = HERE) -> str:
    answer = console.client.get(url)
    assert answer.status_code == 200
    return unescape(answer.text)


def add(console, token, **more):
    return send(console, HERE, token, **{"name": "legal", "adapter": "org/legal@v2", "aliases": ""} | more)


def test_one_is_looked_at_registered_beside_its_model_and_removed(console, token, looks) -> None:
    assert "No adapter is on it" in page(console)
    assert f'href="{HERE}"' in page(console, "/admin/models/at/org/m")
    assert add(console, token, aliases="law").headers["location"] == "/admin/models/at/org/m:legal"
    assert looks.asked == [("org/m", "v1", "org/legal@v2")]
    shown = page(console, "/admin/models/at/org/m:legal")
    assert "of rank 8, it changes 24 modules, in 3 MiB" in shown
    assert "Adapter on org/m" in shown
    assert ">Pin<" not in shown
    listed = page(console)
    assert "org/legal@v2" in listed
    assert "also law" in listed
    removal = "/admin/models/removal/org/m:legal"
    assert f'href="{removal}"' in listed
    version = console.hidden(page(console, removal), "version")
    assert send(console, removal, token, confirm="org/m:legal", version=version).status_code == 303
    assert "No adapter is on it" in page(console)
    events = re.findall(r'class="badge quiet">([a-z]+\.[a-z]+)<', console.client.get("/admin/audit").text)
    assert events[:2] == ["model.remove", "model.add"]


def test_where_each_of_them_is_is_told_apart(console, token, make_node, make_resident) -> None:
    for name in ("one", "two"):
        add(console, token, name=name, adapter=f"org/{name}")
    console.services.nodes.nodes = [make_node("http://1:9000", replace(make_resident("org/m", 1), adapter="org/one"))]
    listed = page(console)
    assert listed.count("in memory of 1 of 1 node") == 1
    assert listed.count("not loaded") == 1


def test_a_form_with_every_field_wrong_says_all_of_it_and_keeps_what_was_typed(console, token, looks) -> None:
    answer = add(console, token, name="<a:b>", adapter="https://hub/x", aliases="ö")
    assert answer.status_code == 422
    assert "3 fields need another look" in answer.text
    assert 'value="&lt;a:b&gt;"' in answer.text
    for name in ("name", "adapter", "aliases"):
        assert f'id="{name}-error"' in answer.text
    assert "no colon" in add(console, token, name="a:b").text
    assert looks.asked == []
    assert add(console, token).status_code == 303
    taken = add(console, token)
    assert (taken.status_code, "belongs to the model" in taken.text) == (422, True)


def test_what_does_not_go_with_the_model_is_refused_at_its_field_and_looked_at_again(console, token, looks) -> None:
    looks.refusal = "It changes <x>, which its base does not have."
    for _ in range(2):
        answer = add(console, token)
        assert answer.status_code == 422
        assert 'id="adapter-error">It changes &lt;x&gt;' in answer.text
    assert len(looks.asked) == 2
    assert add(console, token, unseen="on").status_code == 303
    assert "registered, unseen" in page(console, "/admin/models/at/org/m:legal")


def test_a_look_that_takes_long_goes_on_and_the_form_is_sent_again(console, token, looks, monkeypatch) -> None:
    monkeypatch.setattr(adapters, "PATIENCE", 0.01)
    looks.gate.clear()
    assert "still being looked at" in add(console, token).text
    looks.gate.set()
    monkeypatch.setattr(adapters, "PATIENCE", 20)
    assert add(console, token).status_code == 303
    assert len(looks.asked) == 1


def test_adapters_have_no_adapters_and_viewers_no_form(console, token) -> None:
    add(console, token)
    assert console.client.get(f"{HERE}:legal").status_code == 404
    assert send(console, f"{HERE}:legal", token, name="x", adapter="y").status_code == 404
    console.become("<i>eve")
    assert "Add an adapter" not in page(console)


def test_where_nothing_can_look_one_is_registered_unseen(console_at) -> None:
    console = console_at()
    token = console.become("ada")
    fields = {"source": "org/m", "id": "org/m", "pool": "default", "aliases": "", "dtype": "", "max_tokens": ""}
    send(console, "/admin/models", token, unseen="on", **fields)
    assert "registered unseen" in page(console)
    assert add(console, token).status_code == 303
