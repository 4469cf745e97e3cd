import asyncio
import re
import threading

import pytest

from admin_ui.inspections import Inspected, InspectionRefused
from gateway.services.register.model_facts import ModelFacts

MIB = 1 << 20
FOUND = Inspected(
    source="org/m",
    facts=ModelFacts(
        architecture="NewModel",
        family="newish",
        native=False,
        tasks=("embed",),
        outputs=("dense", "sparse"),
        weight_bytes=300 * MIB,
    ),
    dimensions=768,
    input_limit=512,
    matryoshka=(64, 128),
    normalized=True,
    prompts={"query": "<q>: "},
    default_prompt="",
    parameters=150_000_000,
    resident_bytes={"float32": 600 * MIB, "bfloat16": 300 * MIB},
)


class Source:
    """What looks find; they wait for `gate`."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.refusal: InspectionRefused | None = None

    async def inspect(self, source: str, revision: str | None) -> Inspected:
        self.asked.append((source, revision))
        while not self.gate.is_set():
            await asyncio.sleep(0.01)
        if self.refusal is not None:
            raise self.refusal
        return FOUND


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def console(console_at, source):
    return console_at(inspect=source.inspect)


def send(console, path: str, csrf_token: str, **fields):
    return console.client.post(path, data={"csrf_token": csrf_token, **fields})


def look(console, token: str, source: str = "org/m", revision: str = ""):
    answer = send(console, "/admin/models/inspections", token, source=source, revision=revision)
    assert answer.status_code == 303
    return answer.headers["location"]


FORM = {
    "source": "org/m",
    "revision": "",
    "id": "org/m",
    "pool": "default",
    "aliases": "",
    "dtype": "",
    "max_tokens": "",
}


def test_what_a_look_found_is_shown_with_the_pools_that_have_room(console, make_node) -> None:
    nodes = console.services.nodes.nodes
    nodes.append(make_node("http://1:9000", budget=1024 * MIB))
    small = make_node("http://2:9000", budget=500 * MIB)
    small.pool = "small"
    nodes.append(small)
    page = console.client.get(look(console, console.become("ada"))).text
    for text in ("newish", "NewModel", "fallback", "dense, sparse", "768", "64, 128", "512", "&lt;q&gt;:", "300 MiB"):
        assert text in page
    assert re.search(r"default</td><td>.*fits</span>", page)
    assert re.search(r"small</td><td>.*too large</span></td><td>It needs 600 MiB; the largest node has 500 MiB", page)
    assert re.search(r'value="default" selected', page)


def test_a_model_is_registered_as_it_was_found_and_not_as_a_form_says(console, source) -> None:
    token = console.become("ada")
    console.client.get(look(console, token))
    sent = FORM | {"aliases": "m\n", "pinned": "on", "dimensions": "3", "family": "forged"}
    answer = send(console, "/admin/models", token, **sent)
    assert answer.headers["location"] == "/admin/models/at/org/m"
    page = console.client.get("/admin/models/at/m").text
    assert "newish" in page
    assert "forged" not in page
    assert "pinned" in page
    assert source.asked == [("org/m", None)]


def test_a_form_with_every_field_wrong_says_all_of_it_and_keeps_what_was_typed(console) -> None:
    token = console.become("ada")
    wrong = {"id": "<b>no", "aliases": "no way", "pool": "gone", "dtype": "int3", "max_tokens": "513"}
    answer = send(console, "/admin/models", token, **FORM | wrong)
    assert answer.status_code == 422
    assert "5 fields need another look" in answer.text
    for name in wrong:
        assert f'id="{name}-error"' in answer.text
    assert "&lt;b&gt;no" in answer.text
    assert "<b>no" not in answer.text
    assert "1 to 512" in answer.text
    assert "newish" in answer.text  # what was found stays in sight


def test_a_source_that_can_be_none_is_refused_at_once(console, source) -> None:
    token = console.become("ada")
    for typed in ("", "https://hub.example/org/m", "x\u0007y"):
        answer = send(console, "/admin/models/inspections", token, source=typed, revision="../x")
        assert answer.status_code == 422
        assert 'id="source-error"' in answer.text
        assert 'id="revision-error"' in answer.text
    assert source.asked == []


def test_a_look_that_takes_long_is_watched_and_leads_on(console, source) -> None:
    token = console.become("ada")
    source.gate.clear()
    page = console.client.get(url := look(console, token)).text
    live = re.search(r'data-live="([^"]+)"', page)[1].replace("&amp;", "&")
    assert "Looking at" in console.client.get(live).text
    early = send(console, "/admin/models/inspections", token, source="org/m", revision="")
    assert early.headers["location"] == url
    source.gate.set()
    for _ in range(200):
        if "data-go" in (part := console.client.get(live).text):
            break
    assert url.replace("&", "&amp;") in part
    assert source.asked == [("org/m", None)]  # who asked meanwhile waited for the same


@pytest.mark.parametrize(
    ("code", "advice", "unseen"),
    [
        ("model_not_found", "HF_TOKEN", True),
        ("hub_unreachable", "way from this machine", True),
        ("model_invalid", "Another revision", False),
        ("odd", "Look again", True),
    ],
)
def test_what_can_not_be_served_is_told_with_the_reason_and_the_next_step(
    console, source, code, advice, unseen
) -> None:
    source.refusal = InspectionRefused(code, "It has <no> weights.")
    token = console.become("ada")
    page = console.client.get(look(console, token)).text
    assert "It has &lt;no&gt; weights." in page
    assert advice in page
    assert ("Register it unseen" in page) == unseen
    answer = send(console, "/admin/models", token, **FORM)
    assert answer.status_code == 422
    assert "It has &lt;no&gt; weights." in answer.text
    assert "No model is registered yet" in console.client.get("/admin/models").text


def test_a_refusal_is_forgotten_by_who_looks_again(console, source) -> None:
    token = console.become("ada")
    source.refusal = InspectionRefused("hub_unreachable", "No way.")
    assert "No way." in console.client.get(look(console, token)).text
    source.refusal = None
    assert "newish" in console.client.get(look(console, token)).text


def test_a_link_from_elsewhere_begins_no_look(console, source) -> None:
    console.become("ada")
    for query in ("source=org/m", "source=org/m&ticket=x"):
        page = console.client.get(f"/admin/models/new?{query}")
        assert 'value="org/m"' in page.text
        console.client.get(f"/admin/models/inspection?{query}")
    assert source.asked == []


def test_a_model_is_registered_unseen_where_only_nodes_can_read_it(console, source) -> None:
    token = console.become("ada")
    page = console.client.get("/admin/models/new?source=/models/mine&unseen=1").text
    assert "Nobody looked at this source" in page
    assert 'value="mine"' in page
    answer = send(console, "/admin/models", token, **FORM | {"source": "/models/mine", "id": "mine", "unseen": "on"})
    assert answer.status_code == 303
    assert "Nobody looked at its source" in console.client.get("/admin/models/at/mine").text
    assert source.asked == []


def test_a_console_that_can_not_look_registers_unseen(console_at) -> None:
    console = console_at()
    token = console.become("ada")
    assert "registered unseen" in console.client.get("/admin/models/new").text
    assert "Nobody looked" in console.client.get(look(console, token)).text


def test_a_name_that_is_taken_is_said_beside_it(console) -> None:
    token = console.become("ada")
    send(console, "/admin/models", token, **FORM)
    again = send(console, "/admin/models", token, **FORM)
    assert again.status_code == 422
    assert "belongs to the model" in again.text
