import re
from dataclasses import replace

import pytest

from gateway.services.pools.node import Node
from gateway.services.snapshot.entries import PolicySnapshot, UpstreamEntry


def test_nodes_stand_in_their_pools_with_what_is_known_of_them(console, make_node, make_resident) -> None:
    console.services.nodes.nodes = [
        make_node("http://10.0.0.1:9000", make_resident("a/big", 300), make_resident("a/b", 200, "loading")),
        make_node(
            "http://10.0.0.2:9000", make_resident("a/big", 300), healthy=False, failure="<b>refused", heard=-99.0
        ),
        Node("http://10.0.0.3:9000", "spare", None),
    ]
    console.become("ada")
    page = console.client.get("/admin/nodes").text
    assert "300 MiB</b> resident" in page
    assert "500 MiB</b> allocated" in page
    assert "1 GiB</b>" in page
    assert "&lt;b&gt;refused" in page
    assert "never heard" in page
    assert re.search(r"1\s*</b> of 2 nodes healthy", page)
    part = console.client.get("/admin/nodes/now").text
    assert "10.0.0.2:9000" in part
    assert "<html" not in part


def test_pools_that_have_no_node_now_are_shown(console_at) -> None:
    console = console_at(nodes={"l4": ["dns+http://l4.example:9000"]})
    console.become("ada")
    page = console.client.get("/admin/nodes").text
    assert "No node of this pool is known now" in page
    assert "l4" in page


def test_without_any_node_the_page_says_how_there_may_be_one(console) -> None:
    console.become("ada")
    assert "shoal engine" in console.client.get("/admin/nodes").text
    assert "No node matches" in console.client.get("/admin/nodes?q=x").text


def test_a_hundred_nodes_come_in_pages_and_are_searched(console, make_node) -> None:
    console.services.nodes.nodes = [make_node(f"http://10.0.0.{n}:9000") for n in range(100, 200)]
    console.become("ada")
    first = console.client.get("/admin/nodes").text
    assert first.count('class="name" data-key') == 50
    assert "100 nodes healthy" in first
    more = re.search(r'rel="next" href="([^"]+)"', first)
    second = console.client.get(more[1].replace("&amp;", "&")).text
    assert "10.0.0.199:9000" in second
    assert "10.0.0.100:9000" not in second
    assert "10.0.0.142:9000" in console.client.get("/admin/nodes?q=0.142").text
    assert len(first) < 70_000


def node_page(console) -> str:
    page = console.client.get("/admin/nodes").text
    return re.search(r'href="(/admin/nodes/at/[^"]+)"', page)[1]


def test_a_node_shows_its_models_with_failures_first(console, make_node, make_resident) -> None:
    failed = make_resident("x/bad", 0, "failed", failure="no <i>weights")
    console.services.nodes.nodes = [make_node("http://10.0.0.1:9000", make_resident("a/m", 300, pinned=True), failed)]
    console.become("ada")
    url = node_page(console)
    page = console.client.get(url).text
    assert page.index("x/bad") < page.rindex("a/m")
    assert "no &lt;i&gt;weights" in page
    assert "pinned" in page
    assert "no &lt;i&gt;weights" in console.client.get(f"{url}/now").text


def test_a_node_that_was_never_heard_has_a_page(console) -> None:
    console.services.nodes.nodes = [Node("http://10.0.0.3:9000", "spare", None)]
    console.become("ada")
    page = console.client.get(node_page(console))
    assert page.status_code == 200
    assert "never heard" in page.text


def test_an_upstream_shows_its_wire_and_never_its_credential(console, make_node, make_resident) -> None:
    entry = UpstreamEntry("up_1", "default", "tei", "https://tei.example", b"sealed-secret")
    console.services.feed.current = replace(PolicySnapshot(), upstreams={"default": (entry,)})
    node = make_node("https://tei.example", make_resident("their/model", 0), budget=0)
    node.name = "https://tei.example#up_1"
    console.services.nodes.nodes = [node]
    console.become("ada")
    assert "upstream servers" in console.client.get("/admin/nodes").text
    page = console.client.get(node_page(console)).text
    assert "text-embeddings-inference" in page
    assert "kept, encrypted" in page
    assert "their/model" in page
    assert "sealed-secret" not in page


@pytest.mark.parametrize("path", ["/admin/nodes/at/x", "/admin/nodes/at/x/now"])
def test_a_node_that_left_is_not_found(console, path) -> None:
    console.become("ada")
    assert console.client.get(path).status_code == 404
