from collections import Counter
from dataclasses import replace
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.routing import BACKLOG, LOAD_BOUND, NodeFacts, choose_node

steady = settings(deadline=None, derandomize=True, max_examples=300)

MODELS = [f"org/model-{n}" for n in range(200)]


def node(name: str, *models: str, healthy: bool = True, waiting: int = 0, in_flight: int = 0) -> NodeFacts:
    return NodeFacts(f"http://{name}:9000", healthy, frozenset(models), waiting, in_flight)


fleets = st.lists(
    st.builds(
        NodeFacts,
        st.integers(0, 30).map(lambda n: f"http://node-{n}:9000"),
        st.booleans(),
        st.frozensets(st.sampled_from(["m", "n"])),
        st.integers(0, 5 * BACKLOG),
        st.integers(0, 50),
    ),
    max_size=8,
    unique_by=lambda facts: facts.url,
)


def home(nodes: list[NodeFacts], model: str) -> str:
    chosen = choose_node(nodes, model)
    assert chosen is not None
    return chosen.url


@pytest.mark.parametrize(
    "nodes", [[], [node("a", healthy=False)], [node("a", "m", healthy=False), node("b", healthy=False)]]
)
def test_none_when_no_node_is_healthy(nodes: list[NodeFacts]) -> None:
    assert choose_node(nodes, "m") is None


def test_a_node_that_holds_the_model_comes_before_all_others() -> None:
    for holder in "abcd":
        nodes = [node(name, *(["m"] if name == holder else []), in_flight=7 * (name == holder)) for name in "abcd"]
        assert home(nodes, "m") == f"http://{holder}:9000"


def test_excluded_nodes_are_not_asked_again() -> None:
    nodes = [node("a", "m"), node("b")]
    assert choose_node(nodes, "m", exclude={"http://a:9000"}) == nodes[1]
    assert choose_node(nodes, "m", exclude=["http://a:9000", "http://b:9000"]) is None


@steady
@given(fleets, st.integers(0, 7))
def test_only_healthy_nodes_that_are_not_excluded(nodes, skip) -> None:
    exclude = {facts.url for facts in nodes[:skip]}
    able = [facts for facts in nodes if facts.healthy and facts.url not in exclude]
    chosen = choose_node(nodes, "m", exclude=exclude)
    assert chosen in able if able else chosen is None


@steady
@given(fleets, st.randoms(use_true_random=False))
def test_the_order_of_the_nodes_does_not_matter(nodes, random) -> None:
    assert choose_node(nodes, "m") == choose_node(random.sample(nodes, len(nodes)), "m")


@steady
@given(fleets)
def test_no_node_that_holds_the_model_gets_more_than_its_bounded_share(nodes) -> None:
    at_ease = [replace(facts, waiting_tokens=0) for facts in nodes]
    holding = [facts for facts in at_ease if facts.healthy and "m" in facts.resident]
    chosen = choose_node(at_ease, "m")
    if holding:
        assert chosen in holding
        total = sum(facts.in_flight for facts in holding) + 1
        assert chosen.in_flight + 1 <= ceil(LOAD_BOUND * total / len(holding))


def test_a_model_stays_on_one_node_while_nobody_is_busy() -> None:
    nodes = [node(name) for name in "abcde"]
    first = home(nodes, "m")
    loading = [replace(facts, in_flight=40 * (facts.url == first)) for facts in nodes]
    assert home(loading, "m") == first, "requests that come while it loads follow the first"
    loaded = [replace(facts, resident=frozenset({"m"} if facts.url == first else ())) for facts in loading]
    assert home(loaded, "m") == first


def test_a_hot_model_spreads_to_a_free_node_and_then_shares() -> None:
    cold = [node("a", "m", waiting=3 * BACKLOG, in_flight=30), node("b"), node("c")]
    second = choose_node(cold, "m")
    assert second in cold[1:]
    counts: Counter[str] = Counter()
    for _ in range(100):
        both = [node(name, "m", in_flight=counts[f"http://{name}:9000"]) for name in "ab"]
        counts[home(both, "m")] += 1
    assert max(counts.values()) <= ceil(LOAD_BOUND * 100 / 2)


def test_when_all_are_busy_alike_a_model_does_not_move() -> None:
    nodes = [node("a", "m", waiting=9 * BACKLOG), node("b", waiting=9 * BACKLOG), node("c", waiting=9 * BACKLOG)]
    assert home(nodes, "m") == "http://a:9000"


def test_a_node_that_leaves_moves_only_its_own_models() -> None:
    nodes = [node(name) for name in "abcde"]
    before = {model: home(nodes, model) for model in MODELS}
    for gone in nodes:
        left = [facts for facts in nodes if facts is not gone]
        moved = {model for model in MODELS if home(left, model) != before[model]}
        assert moved == {model for model in MODELS if before[model] == gone.url}


def test_models_settle_evenly_over_the_nodes() -> None:
    nodes = [node(name) for name in "abcde"]
    counts = Counter(home(nodes, model) for model in MODELS)
    assert len(counts) == 5
    assert max(counts.values()) < 2 * len(MODELS) / 5


def test_every_gateway_and_every_start_gives_the_same_answer() -> None:
    nodes = [node(name) for name in "abcde"]
    assert "".join(home(nodes, model)[len("http://")] for model in MODELS[:12]) == "adcaaedacdac"


def test_what_left_the_device_is_restored_where_it_was_rather_than_loaded_elsewhere() -> None:
    cold, warm = node("cold"), replace(node("warm"), restorable=frozenset(MODELS))
    assert {home([cold, warm], model) for model in MODELS} == {warm.url}


def test_a_model_on_a_device_is_used_before_one_that_must_come_back() -> None:
    warm = replace(node("warm"), restorable=frozenset(MODELS))
    hot = node("hot", *MODELS)
    assert {home([warm, hot], model) for model in MODELS} == {hot.url}


def test_a_node_that_holds_the_adapter_too_is_preferred_among_those_that_hold_the_model():
    with_model = [NodeFacts(f"http://n{number}", True, frozenset({"m"}), 0, 0) for number in range(4)]
    for place in range(4):
        nodes = [*with_model]
        nodes[place] = replace(nodes[place], adapters=frozenset({("m", "a")}))
        assert choose_node(nodes, "m", adapter="a") == nodes[place]
        assert choose_node(nodes, "m", adapter="b") == choose_node(nodes, "m")
    elsewhere = NodeFacts("http://n9", True, frozenset(), 0, 0, adapters=frozenset({("m", "a")}))
    assert choose_node([*with_model, elsewhere], "m", adapter="a") in with_model
