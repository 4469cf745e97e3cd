import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from msgspec import structs

from admin_ui.contexts.overview import MemorySegment, ModelLine, NodePanel, OverviewPage
from admin_ui.rendering import HERE
from admin_ui.views.overview import MOST_MODELS, overview_page
from gateway.services.pools.node import Node
from gateway.services.register.tenants import TenantInfo
from gateway.services.snapshot.entries import KeyEntry, PolicySnapshot, TenantEntry

NOW = datetime(2026, 11, 21, tzinfo=UTC)
MIB = 1 << 20


def key(id_: str, *, revoked: bool = False, expires_at: datetime | None = None) -> KeyEntry:
    tenant = TenantEntry("tn_a", "acme", suspended=False, grants=(), limits=())
    return KeyEntry(id_, id_, b"", tenant, expires_at, revoked, (), ())


def test_an_empty_installation_is_all_zeros() -> None:
    assert overview_page([], PolicySnapshot(), [], NOW) == OverviewPage(
        nodes=(),
        healthy_nodes=0,
        memory_used=0,
        memory_budget=0,
        waiting_tokens=0,
        models=(),
        model_count=0,
        tenant_count=0,
        suspended_count=0,
        key_count=0,
    )


def test_the_page_is_what_the_services_know(make_node, make_resident, make_model) -> None:
    nodes = [
        make_node(
            "http://a:9000",
            make_resident("small", 128, pinned=True),
            make_resident("large", 512),
            structs.replace(make_resident("unused now", 0, "loading"), tier="host"),
            make_resident("broken", 0, "failed", failure="no such tensor"),
        ),
        make_node("http://b:9000", make_resident("small", 128, "loading")),
        make_node("http://c:9000", make_resident("large", 512), healthy=False, failure="refused"),
        Node("http://d:9000", "gpu", None),
    ]
    entry = make_model("small", "tiny", pinned=True)
    policies = PolicySnapshot(
        revision=7,
        keys={
            "k1": key("k1"),
            "k2": key("k2", revoked=True),
            "k3": key("k3", expires_at=NOW - timedelta(seconds=1)),
            "k4": key("k4", expires_at=NOW + timedelta(seconds=1)),
        },
        models={"small": entry, "tiny": entry, "large": make_model("large")},
    )
    tenants = [
        TenantInfo("tn_a", "acme", None, "interactive", 1.0, 1, NOW),
        TenantInfo("tn_z", "zenith", NOW, "bulk", 1.0, 1, NOW),
    ]

    page = overview_page(nodes, policies, tenants, NOW)

    heard = NodePanel(
        url="http://a:9000",
        pool="default",
        healthy=True,
        problem=None,
        heard=True,
        device="cpu",
        memory_used=640 * MIB,
        memory_budget=1024 * MIB,
        segments=(
            MemorySegment("large", "resident", 512 * MIB, 0.0, 50.0, 1, pinned=False, in_use=0),
            MemorySegment("small", "resident", 128 * MIB, 50.0, 12.5, 2, pinned=True, in_use=0),
        ),
        failed_models=(("broken", "no such tensor"),),
        waiting_tokens=1200,
        waiting_requests=3,
        in_flight=2,
        tokens_per_second=5400.0,
    )
    loading = MemorySegment("small", "loading", 128 * MIB, 0.0, 12.5, 2, pinned=False, in_use=0)
    large = MemorySegment("large", "resident", 512 * MIB, 0.0, 50.0, 1, pinned=False, in_use=0)
    beside = replace(heard, failed_models=(), url="http://b:9000", memory_used=128 * MIB, segments=(loading,))
    away = replace(
        beside, url="http://c:9000", healthy=False, problem="refused", memory_used=512 * MIB, segments=(large,)
    )
    assert page == OverviewPage(
        nodes=(heard, beside, away, NodePanel("http://d:9000", "gpu", False, "not asked yet", heard=False)),
        healthy_nodes=2,
        memory_used=768 * MIB,
        memory_budget=2048 * MIB,
        waiting_tokens=2400,
        models=(
            ModelLine("large", (), "default", pinned=False, resident_on=1),
            ModelLine("small", ("tiny",), "default", pinned=True, resident_on=1),
        ),
        model_count=2,
        tenant_count=2,
        suspended_count=1,
        key_count=2,
    )


def test_more_memory_than_the_budget_still_fits_the_bar(make_node, make_resident) -> None:
    node = make_node("http://a:9000", make_resident("a", 600), make_resident("b", 600))
    segments = overview_page([node], PolicySnapshot(), [], NOW).nodes[0].segments
    assert [(segment.start, segment.width) for segment in segments] == [(0.0, 50.0), (50.0, 50.0)]


def test_a_long_register_is_cut_but_counted(make_model) -> None:
    models = {f"m{n:03}": make_model(f"m{n:03}") for n in range(MOST_MODELS + 5)}
    page = overview_page([], PolicySnapshot(models=models), [], NOW)
    assert (len(page.models), page.model_count) == (MOST_MODELS, MOST_MODELS + 5)


def test_the_page_renders_with_nothing_to_show(console) -> None:
    console.become("ada")
    page = console.client.get("/admin")
    assert page.status_code == 200
    assert "No engine node is configured" in page.text
    assert "No model is registered" in page.text


def test_the_page_shows_nodes_models_and_what_is_wrong(console, make_node, make_resident, make_model) -> None:
    console.services.nodes.nodes = [
        make_node(
            "http://a:9000", make_resident("small", 128), make_resident("broken", 0, "failed", failure="no such tensor")
        ),
        make_node("http://b:9000", healthy=False, failure="connection refused"),
        Node("http://c:9000", "gpu", None),
    ]
    console.services.feed.current = PolicySnapshot(models={"small": make_model("small", "tiny")})
    console.become("ada")
    page = console.client.get("/admin").text
    for text in ("http://a:9000", "128 MiB", "1 GiB", "<svg", "tiny", "no such tensor", "connection refused"):
        assert text in page, text
    assert "not asked yet" in page
    assert "1 suspended" in page
    assert "<b>2</b>" in page, "two tenants"


def test_names_with_markup_are_text(console, make_node, make_resident, make_model) -> None:
    markup = '"><script>alert(1)</script>'
    console.services.nodes.nodes = [
        make_node(f"http://a/{markup}", make_resident(markup, 1), healthy=False, failure=markup)
    ]
    console.services.feed.current = PolicySnapshot(models={markup: make_model(markup, markup + "b")})
    console.become("<i>eve")
    page = console.client.get("/admin").text
    assert "<script>" not in page
    assert "<i>eve" not in page
    assert "&lt;i&gt;eve" in page
    assert page.count("&lt;script&gt;") >= 5
    assert "<script>" not in console.sign_in(markup, "wrong").text


def test_no_template_lets_markup_through() -> None:
    """All of it is escaped because nothing is exempt."""
    for template in (HERE / "templates").rglob("*.html"):
        source = template.read_text()
        assert not re.search(r"\|\s*safe|autoescape|Markup|<script(?! src)|javascript:|\bon\w+\s*=", source), (
            template.name
        )
        # An attribute without quotes could be left by a space.
        assert not re.search(r"=\s*\{\{", source), template.name
    for source in HERE.rglob("*.py"):
        assert not re.search(r"Markup\(|autoescape=False|\|safe", source.read_text()), source.name
