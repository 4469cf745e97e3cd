import re
from datetime import UTC, datetime, timedelta

import pytest

from admin_ui import concerns
from admin_ui.contexts.overview import Concern
from admin_ui.fleet import MOST_NODES, MOST_POOLS, PARTS, SHADES, STALE_AFTER, fitting, pool_cards, pools_part
from admin_ui.rendering import HERE
from admin_ui.views.overview import MOST_CONCERNS, attention_part, first_steps, traffic_part
from gateway.services.pools.node import Node
from gateway.services.snapshot.entries import KeyEntry, PolicySnapshot, TenantEntry
from gateway.services.usage.limits_reached import BudgetPassed, Refused
from gateway.services.usage.minutes import Minute

NOW = datetime(2026, 11, 21, 14, tzinfo=UTC)
MIB = 1 << 20
OWN_PARTS = ("attention", "traffic", "pools")


def tenant(*, suspended: bool = False) -> TenantEntry:
    return TenantEntry("tn_a", "acme", suspended=suspended, grants=(), limits=())


def key(id_: str, *, revoked: bool = False, expires_at: datetime | None = None, suspended: bool = False) -> KeyEntry:
    return KeyEntry(id_, id_, b"", tenant(suspended=suspended), expires_at, revoked, (), ())


def test_a_pool_shows_its_nodes_and_the_sums_of_those_that_are_well(make_node, make_resident) -> None:
    nodes = [
        make_node("http://a:9000", make_resident("small", 128, pinned=True), make_resident("org/large", 512)),
        make_node("http://b:9000", make_resident("small", 128), make_resident("next", 256, "loading")),
        make_node("http://c:9000", make_resident("org/large", 512), healthy=False, failure="refused"),
        Node("http://d:9000", "alone", None),
    ]
    default, alone = pool_cards(nodes, now=1.0)
    assert (default.name, default.healthy, default.more, default.in_flight) == ("default", 2, 0, 6)
    assert (default.resident, default.allocated, default.budget) == (768 * MIB, 1024 * MIB, 2048 * MIB)
    assert [node.name for node in default.nodes] == ["c:9000", "a:9000", "b:9000"]
    away, first, second = default.nodes
    assert (away.tone, away.state, away.problem) == ("bad", "away", "refused")
    assert [(part.model, part.short, part.x, part.width) for part in first.segments] == [
        ("org/large", "large", 0.0, 50.0),
        ("small", "small", 50.0, 12.5),
    ]
    assert (second.resident, second.allocated) == (128 * MIB, 384 * MIB)
    assert (alone.nodes[0].heard, alone.nodes[0].tone, alone.budget) == (False, "warn", 0)


def test_a_stale_sample_is_said_to_be_one(make_node) -> None:
    ages = [pool_cards([make_node("http://a")], now=now)[0].nodes[0].age for now in (STALE_AFTER, STALE_AFTER + 1)]
    assert ages == [None, STALE_AFTER + 1]


def test_more_memory_than_the_budget_still_fits_the_bar(make_node, make_resident) -> None:
    node = make_node("http://a:9000", make_resident("a", 600), make_resident("b", 600))
    [line] = pool_cards([node], 0.0)[0].nodes
    assert [(segment.x, segment.width) for segment in line.segments] == [(0.0, 50.0), (50.0, 50.0)]


def test_models_of_one_node_have_different_colours_and_each_has_one_everywhere(make_node, make_resident) -> None:
    nodes = [make_node(f"http://{n}", *(make_resident(f"m{n * 3 + k}", 1) for k in range(SHADES))) for n in range(4)]
    seen: dict[str, int] = {}
    for line in pool_cards(nodes, 0.0)[0].nodes:
        for segment in line.segments:
            assert seen.setdefault(segment.model, segment.shade) == segment.shade
    alone = pool_cards(nodes[:1], 0.0)[0].nodes[0]
    assert {segment.shade for segment in alone.segments} == set(range(SHADES))


def test_a_name_is_written_into_the_bar_where_all_of_it_has_room() -> None:
    assert fitting("bge-m3", 12.0) == "bge-m3"
    assert fitting("a-very-long-name-of-a-model", 12.0) == ""
    assert fitting("a-very-long-name-of-a-model", 40.0) == "a-very-long-name-of-a-model"


def test_a_large_pool_is_cut_and_what_is_wrong_is_not(make_node) -> None:
    nodes = [make_node(f"http://n{n:03}", healthy=n != 99, failure="refused") for n in range(100)]
    part = pools_part(nodes, 0.0)
    [pool] = part.pools
    assert (len(pool.nodes), pool.more, pool.nodes[0].name) == (MOST_NODES, 100 - MOST_NODES, "n099")
    assert (pool.healthy, pool.in_flight, part.large) == (99, 200, True)


def test_of_many_pools_those_that_need_a_look_are_shown_and_the_others_counted(make_node) -> None:
    nodes = [make_node(f"http://n{n:03}", pool=f"p{n:03}", healthy=n != 99, failure="refused") for n in range(100)]
    part = pools_part(nodes, 0.0)
    assert (len(part.pools), part.more) == (MOST_POOLS, 100 - MOST_POOLS)
    assert "p099" in {pool.name for pool in part.pools}


def test_many_small_models_are_one_part_of_the_bar(make_node, make_resident) -> None:
    models = [make_resident(f"m{n:02}", 40 - n) for n in range(PARTS + 3)]
    [line] = pool_cards([make_node("http://a", *models)], 0.0)[0].nodes
    assert len(line.segments) == PARTS
    assert line.rest is not None
    assert (line.rest.count, line.rest.bytes) == (3, (28 + 27 + 26) * MIB)
    assert line.rest.x == pytest.approx(line.segments[-1].x + line.segments[-1].width, abs=0.01)


def test_the_last_hour_as_figures_and_charts() -> None:
    minutes = [Minute(NOW + timedelta(minutes=n)) for n in range(58)]
    minutes += [
        Minute(NOW + timedelta(minutes=58), 300, 3, 7, 9000, median=12.0, slow=80.0, upstream=0.75),
        Minute(NOW + timedelta(minutes=59), 10),
    ]
    part = traffic_part(minutes)
    assert (part.requests, part.failed, part.refused, part.tokens, part.rate) == (310, 3, 7, 9000, 1.0)
    assert (part.median, part.slow, part.upstream) == (0.012, 0.08, 0.75)
    assert [piece.kind for piece in part.traffic.columns[58].pieces] == ["a", "bad", "b"]
    assert part.traffic.columns[58].words == "14:58\nserved: 297\nfailed: 3\nrefused: 7"
    assert part.latency.lines[0].dots
    assert not part.latency.lines[0].path, "one minute alone is a dot, not a line to zero"


def test_nodes_away_and_failed_loads_need_attention(make_node, make_resident) -> None:
    broken = make_resident("broken", 0, "failed", failure="no such tensor")
    nodes = [
        make_node("http://a", broken),
        make_node("http://b", broken),
        make_node("http://c", healthy=False, failure="connection refused"),
        Node("http://d", "gpu", None),
    ]
    found = list(concerns.of_nodes(nodes))
    assert [(concern.tone, concern.what, concern.why) for concern in found] == [
        ("bad", "Node c takes no requests", "Connection refused. Pool default."),
        ("bad", "broken could not be loaded", "On 2 nodes: no such tensor"),
    ]


def test_tenants_at_limits_need_attention() -> None:
    budgets = [
        BudgetPassed("tn_a", "*", 100, 2_000_000, NOW, of_key=False),
        BudgetPassed("tn_a", "org/*", 80, 500, NOW, of_key=True),
        BudgetPassed("tn_gone", "*", 100, 1, NOW, of_key=False),
    ]
    found = list(
        concerns.of_tenants(
            budgets,
            [Refused("tn_b", "birch", 1200), Refused("tn_c", "cedar", 2)],
            PolicySnapshot(tenants={"tn_a": tenant()}),
        )
    )
    assert [(concern.tone, concern.what, concern.url) for concern in found] == [
        ("bad", "acme has spent its monthly tokens", "/admin/tenants/tn_a"),
        ("warn", "A key of acme has spent 80 % of its monthly tokens", "/admin/tenants/tn_a"),
        ("warn", "Requests of birch are refused", "/admin/tenants/tn_b"),
    ]


def test_keys_that_end_soon_need_attention_and_those_that_ended_do_not() -> None:
    days = {
        "gone": {"expires_at": NOW - timedelta(days=1)},
        "off": {"expires_at": NOW + timedelta(days=1), "revoked": True},
        "asleep": {"expires_at": NOW + timedelta(days=1), "suspended": True},
        "late": {"expires_at": NOW + timedelta(days=40)},
        "ever": {},
        **{f"k{n}": {"expires_at": NOW + timedelta(days=n + 1)} for n in range(5)},
    }
    found = list(concerns.of_keys({id_: key(id_, **options) for id_, options in days.items()}, NOW))
    assert [concern.what for concern in found] == [
        "The key k0 of acme expires in 1 d",
        "The key k1 of acme expires in 2 d",
        "The key k2 of acme expires in 3 d",
        "2 more keys expire within two weeks",
    ]


def test_what_the_gateway_says_of_itself_needs_attention() -> None:
    reasons = ("The quota store is away, requests are denied.", "No node of the pool 'gpu' is healthy.")
    assert [concern.what for concern in concerns.of_gateway(reasons, 40, 300.0)] == [
        "The quota store is away, requests are denied",
        "40 usage records not in the database yet",
    ]
    assert list(concerns.of_gateway((), 40, 3.0)) == []


def test_the_worst_comes_first_and_the_rest_is_counted() -> None:
    found = [Concern("warn", f"w{n}", "") for n in range(MOST_CONCERNS)] + [Concern("bad", "b", "")]
    part = attention_part(found)
    assert (part.concerns[0].what, len(part.concerns), part.more) == ("b", MOST_CONCERNS, 1)


def test_the_first_steps_end_with_the_first_answer(make_model) -> None:
    assert [step.done for step in first_steps(PolicySnapshot(), healthy=False, used=False)] == [False] * 4
    policies = PolicySnapshot(models={"m": make_model("m")}, keys={"k": key("k")})
    assert [step.done for step in first_steps(policies, healthy=True, used=False)] == [True, True, True, False]
    assert first_steps(policies, healthy=True, used=True) == ()


def test_the_page_teaches_the_next_step_when_there_is_nothing_to_show(console) -> None:
    console.become("ada")
    page = console.client.get("/admin")
    assert page.status_code == 200
    for text in ("Start an engine node", "Register a model", "No engine node yet", "No request in the last hour"):
        assert text in page.text, text


def test_the_page_shows_nodes_and_what_is_wrong(console, make_node, make_resident) -> None:
    console.services.nodes.nodes = [
        make_node(
            "http://a:9000", make_resident("small", 128), make_resident("broken", 0, "failed", failure="no such tensor")
        ),
        make_node("http://b:9000", healthy=False, failure="connection refused"),
        Node("http://c:9000", "gpu", None),
    ]
    console.become("ada")
    page = console.client.get("/admin").text
    for text in ("a:9000", "128 MiB", "1 GiB", "no such tensor", "Connection refused", "not asked yet", "idle"):
        assert text in page, text


@pytest.mark.parametrize("part", OWN_PARTS)
def test_a_part_is_what_the_page_holds_of_it(console, make_node, make_resident, part) -> None:
    console.services.nodes.nodes = [make_node("http://a:9000", make_resident("small", 128), heard=1e18)]
    console.become("ada")
    whole = console.client.get("/admin").text
    answer = console.client.get(f"/admin/overview/{part}", headers={"x-live": "1"})
    assert answer.status_code == 200
    assert f'data-live="/admin/overview/{part}"' in whole
    assert answer.text.strip() in whole
    assert "<html" not in answer.text


def test_the_pages_script_is_told_plainly_that_nobody_is_signed_in(console) -> None:
    answer = console.client.get("/admin/overview/pools", headers={"x-live": "1"})
    assert (answer.status_code, answer.text) == (401, "")


def test_names_with_markup_are_text(console, make_node, make_resident) -> None:
    markup = '"><script>alert(1)</script>'
    console.services.nodes.nodes = [
        make_node(f"http://a/{markup}", make_resident(markup, 1), healthy=False, failure=markup)
    ]
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
        forbidden = r"\|\s*safe|autoescape|Markup|<script(?! src)|javascript:|\bon\w+\s*="
        assert not re.search(forbidden, source), template.name
        # An attribute without quotes could be left by a space.
        assert not re.search(r"=\s*\{\{", source), template.name
    for source in HERE.rglob("*.py"):
        assert not re.search(r"Markup\(|autoescape=False|\|safe", source.read_text()), source.name
