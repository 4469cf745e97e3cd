from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.fleet import Fleet, NodeFacts
from policies.routing import BUSY, FOLLOW, LOAD_BOUND, LOOK, SPREAD_INTERVAL, Choice, choose_node

steady = settings(deadline=None, derandomize=True, max_examples=300)

MODELS = [f"org/model-{n}" for n in range(200)]
M = frozenset({"m"})


def node(name: str, *models: str, **said) -> NodeFacts:
    return NodeFacts(f"http://{name}:9000", resident=frozenset(models), **said)


def fleet_of(*nodes: NodeFacts, away: str = "") -> Fleet:
    fleet = Fleet()
    for facts in nodes:
        fleet.update(facts)
    for name in away:
        fleet.set_healthy(f"http://{name}:9000", False)
    return fleet


def chosen(fleet: Fleet, model: str = "m", now: float = 0.0, **asked) -> tuple[str, str]:
    """The name of the node, and how."""
    choice = choose_node(fleet, model, now=now, **asked)
    assert choice is not None
    return choice.url[len("http://") : -len(":9000")], choice.how


def send(fleet: Fleet, model: str = "m", now: float = 0.0) -> Choice:
    choice = choose_node(fleet, model, now=now)
    assert choice is not None
    fleet.begin(choice.url, model, now)
    return choice


subsets = st.frozensets(st.sampled_from(["m", "n"]))
said = st.builds(
    NodeFacts,
    st.integers(0, 30).map(lambda n: f"http://node-{n}:9000"),
    resident=subsets,
    loading=subsets,
    restorable=subsets,
    waiting_requests=st.integers(0, 40),
    waiting_tokens=st.integers(0, 40_000),
)
nodes_said = st.lists(said, max_size=8, unique_by=lambda facts: facts.url)


@pytest.mark.parametrize("nodes", ["", "a", "ab"])
def test_none_when_no_node_is_healthy(nodes):
    assert choose_node(fleet_of(*(node(name, "m") for name in nodes), away=nodes), "m", now=0.0) is None


@pytest.mark.parametrize("holder", "abcd")
def test_a_node_that_holds_the_model_comes_before_all_others(holder):
    fleet = fleet_of(*(node(name, *(["m"] if name == holder else []), restorable=M) for name in "abcd"))
    while fleet.nodes[f"http://{holder}:9000"].delay <= BUSY:
        assert chosen(fleet) == (holder, "resident")
        send(fleet)
    assert chosen(fleet)[1] == "spread"


def test_excluded_nodes_are_not_asked_again():
    fleet = fleet_of(node("a", "m"), node("b"))
    assert chosen(fleet, exclude={"http://a:9000"}) == ("b", "cold")
    assert choose_node(fleet, "m", now=0.0, exclude=["http://a:9000", "http://b:9000"]) is None


@steady
@given(nodes_said, st.integers(0, 255), st.integers(0, 7))
def test_only_healthy_nodes_that_are_not_excluded_and_one_whenever_there_is_any(nodes, sick, skip):
    fleet = fleet_of(*nodes)
    for place, facts in enumerate(nodes):
        fleet.set_healthy(facts.url, not sick >> place & 1)
    exclude = {facts.url for facts in nodes[:skip]}
    able = {facts.url for place, facts in enumerate(nodes) if not sick >> place & 1} - exclude
    choice = choose_node(fleet, "m", now=0.0, exclude=exclude)
    assert choice.url in able if able else choice is None


@steady
@given(nodes_said, st.randoms(use_true_random=False))
def test_the_order_in_which_nodes_became_known_does_not_matter(nodes, random):
    shuffled = random.sample(nodes, len(nodes))
    assert choose_node(fleet_of(*nodes), "m", now=0.0) == choose_node(fleet_of(*shuffled), "m", now=0.0)


@steady
@given(nodes_said)
def test_it_says_how_the_model_is_where_the_request_goes(nodes):
    choice = choose_node(fleet_of(*nodes), "m", now=0.0)
    if choice is not None:
        there = next(facts for facts in nodes if facts.url == choice.url)
        has = {"resident": there.resident, "loading": there.loading, "restored": there.restorable}
        assert choice.how in ("cold", "spread") or "m" in has[choice.how]
        assert (choice.how == "cold") <= ("m" not in there.resident | there.loading)


def test_the_requests_that_come_while_a_model_loads_follow_the_first_there():
    fleet = fleet_of(*map(node, "abcde"))
    first = send(fleet)
    assert first.how == "cold"
    for moment in range(1, FOLLOW):
        assert send(fleet, now=float(moment)) == Choice(first.url, "loading")
        if moment == 3:
            fleet.update(NodeFacts(first.url, loading=M))
    assert fleet.moves == 1


def test_where_too_many_would_follow_another_node_loads_the_model_too_but_not_at_once():
    fleet = fleet_of(*map(node, "abcdefghijklmnop"))
    hows = [send(fleet, now=step / 100).how for step in range(400)]
    moments = [step / 100 for step, how in enumerate(hows) if how == "spread"]
    assert moments[0] >= SPREAD_INTERVAL
    assert fleet.moves == len(moments) + 1 <= 16
    assert len({there.facts.url for there in fleet.nodes.values() if there.in_flight}) == fleet.moves


def test_gateways_that_know_nothing_of_each_other_load_a_model_on_the_same_node():
    fleets = [fleet_of(*map(node, order)) for order in ("abcde", "edcba", "badec")]
    for model in MODELS:
        assert len({send(fleet, model) for fleet in fleets}) == 1


def test_a_model_that_is_asked_for_little_gathers_on_the_first_of_its_nodes():
    fleet = fleet_of(*(node(name, "m") for name in "abcde"))
    first = chosen(fleet)[0]
    for _ in range(100):
        assert send(fleet).url == f"http://{first}:9000"
        fleet.end(f"http://{first}:9000")


def test_the_nodes_that_hold_a_model_share_what_is_too_much_for_the_first_and_none_gets_much_more_than_the_mean():
    fleet = fleet_of(*(node(name, "m") for name in "abcd"))
    for sent in range(1, 201):
        send(fleet)
        assert max(there.load for there in fleet.nodes.values()) <= LOAD_BOUND * sent / 4 + 1


@pytest.mark.parametrize("holder", "ab")
def test_a_node_that_is_busy_with_other_models_or_for_other_gateways_is_passed_over(holder):
    nodes = [node(name, "m", waiting_requests=50 * (name == holder)) for name in "abc"]
    assert chosen(fleet_of(*nodes))[0] != holder


def test_of_a_thousand_busy_nodes_that_hold_a_model_no_one_is_forgotten():
    fleet = fleet_of(*(node(str(number), "m", waiting_requests=5) for number in range(3 * LOOK)))
    for _ in range(30 * LOOK):
        assert send(fleet).how == "resident"
    loads = [there.load for there in fleet.nodes.values()]
    assert sum(load > 5 for load in loads) > 2 * LOOK
    assert max(loads) <= LOAD_BOUND * fleet.mean_load + 2


def crowded(*names: str, free: str = "") -> Fleet:
    """`names` hold the model and are busy for a second, the others are idle."""
    return fleet_of(*(node(name, "m", waiting_requests=50) for name in names), *(map(node, free)))


def test_a_model_whose_nodes_are_all_busy_goes_to_one_free_node_more_and_not_to_another_one_soon():
    fleet = crowded("a", free="bcdefgh")
    spread = [send(fleet, now=0.01 * step) for step in range(50)]
    assert spread[0].how == "spread"
    assert Counter(choice.how for choice in spread)["spread"] == 1
    assert fleet.moves == 1
    assert chosen(fleet, now=2 * SPREAD_INTERVAL)[1] != "spread", "it is still on its way there"
    fleet.update(NodeFacts(spread[0].url, resident=M, waiting_requests=50))
    assert chosen(fleet, now=2 * SPREAD_INTERVAL)[1] == "spread"


def test_the_more_nodes_hold_a_model_the_sooner_it_may_go_to_one_more():
    fleet, now, moments = crowded("a", free="bcdefghijk"), 0.0, []
    while len(moments) < 6:
        choice = send(fleet, now=now)
        if choice.how == "spread":
            moments.append(now)
            fleet.update(NodeFacts(choice.url, resident=M, waiting_requests=50))
        now += 1 / 256
    pauses = [later - sooner for sooner, later in pairwise(moments)]
    assert pauses == sorted(pauses, reverse=True)
    assert pauses[0] == pytest.approx(SPREAD_INTERVAL / 2, abs=1 / 128)
    assert pauses[-1] <= SPREAD_INTERVAL / 5


def test_a_model_comes_to_no_more_nodes_at_a_time_than_have_it():
    fleet, now = crowded("a", "b", free="cdefghijk"), 0.0
    while now < 10.0:
        send(fleet, now=now)
        now += 1 / 16
    assert fleet.moves == 2


def test_a_model_whose_nodes_would_serve_it_sooner_than_another_one_could_load_it_stays_there():
    busy = {"waiting_requests": 10, "waiting_tokens": 10_000}
    for speed, how in ((100_000.0, "resident"), (10_000.0, "spread")):
        assert chosen(fleet_of(node("a", "m", **busy, tokens_per_second=speed), node("b")))[1] == how


def test_a_model_goes_where_there_is_room_for_it_before_something_has_to_leave():
    names = "abcdefgh"
    for roomy in names:
        room = {name: 500 * (name == roomy) for name in names}
        holder = node("z", "m", waiting_requests=50, bytes={"m": 400})
        fleet = fleet_of(holder, *(node(name, free_bytes=room[name]) for name in names))
        assert chosen(fleet) == (roomy, "spread")
        fleet.set_healthy(holder.url, False)
        assert chosen(fleet) == (roomy, "cold")


def test_room_that_was_given_away_is_not_given_twice():
    sizes = {"m": 400, "n": 400}
    fleet = fleet_of(node("z", "m", "n", bytes=sizes), node("a", free_bytes=500), node("b", free_bytes=500))
    fleet.set_healthy("http://z:9000", False)
    assert {send(fleet, "m").url, send(fleet, "n").url} == {"http://a:9000", "http://b:9000"}


def test_when_all_are_busy_alike_a_model_does_not_move():
    fleet = fleet_of(node("a", "m", waiting_requests=50), *(node(name, waiting_requests=50) for name in "bcd"))
    for step in range(20):
        assert send(fleet, now=float(step)).how == "resident"


def test_a_node_that_leaves_moves_only_its_own_models():
    fleet = fleet_of(*map(node, "abcde"))
    before = {model: chosen(fleet, model)[0] for model in MODELS}
    for gone in "abcde":
        left = fleet_of(*map(node, "abcde"))
        left.remove(f"http://{gone}:9000")
        away = fleet_of(*map(node, "abcde"), away=gone)
        moved = {model for model in MODELS if chosen(left, model)[0] != before[model]}
        assert moved == {model for model in MODELS if before[model] == gone}
        assert all(chosen(left, model) == chosen(away, model) for model in MODELS)


def test_the_models_of_a_node_that_leaves_spread_evenly_over_the_others():
    fleet = fleet_of(*map(node, "abcde"))
    asked = [f"org/model-{number}" for number in range(4000)]
    homeless = [model for model in asked if chosen(fleet, model)[0] == "a"]
    fleet.remove("http://a:9000")
    counts = Counter(chosen(fleet, model)[0] for model in homeless)
    assert len(counts) == 4
    assert max(counts.values()) < 1.25 * len(homeless) / 4


def test_models_settle_evenly_over_the_nodes():
    fleet = fleet_of(*map(node, "abcde"))
    counts = Counter(chosen(fleet, model)[0] for model in MODELS)
    assert len(counts) == 5
    assert max(counts.values()) < 2 * len(MODELS) / 5


def test_every_start_gives_the_same_answer():
    fleet = fleet_of(*map(node, "abcde"))
    assert "".join(chosen(fleet, model)[0] for model in MODELS[:12]) == "eecbdbaeaaac"


def test_what_left_the_device_is_restored_where_it_was_rather_than_loaded_elsewhere():
    fleet = fleet_of(node("cold"), node("warm", restorable=frozenset(MODELS)))
    assert {chosen(fleet, model) for model in MODELS} == {("warm", "restored")}


def test_a_node_that_holds_the_adapter_too_is_preferred_among_those_that_hold_the_model():
    names = "abcd"
    for place in names:
        adapted = {place: frozenset({("m", "a")})}
        fleet = fleet_of(
            *(node(name, "m", adapters=adapted.get(name, frozenset())) for name in names),
            node("e", adapters=frozenset({("m", "a")})),
        )
        assert chosen(fleet, adapter="a") == (place, "resident")
        assert chosen(fleet, adapter="b") == chosen(fleet)


def test_where_every_node_serves_every_model_the_one_with_the_least_to_do_is_asked():
    fleet = Fleet(alike=True)
    for name in "abc":
        fleet.update(node(name))
    for _ in range(30):
        send(fleet)
    assert [there.in_flight for there in fleet.nodes.values()] == [10, 10, 10]
    assert fleet.moves == 0
