import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.fleet import Fleet, NodeFacts, rank

steady = settings(deadline=None, derandomize=True, max_examples=300)

URLS = [f"http://node-{n}" for n in range(4)]
MODELS = ["m", "n", "o"]

models = st.frozensets(st.sampled_from(MODELS))
updates = st.builds(
    NodeFacts,
    st.sampled_from(URLS),
    resident=models,
    loading=models,
    restorable=models,
    waiting_requests=st.integers(0, 9),
    waiting_tokens=st.integers(0, 9000),
)
steps = st.lists(
    st.one_of(
        updates,
        st.tuples(st.just("begin"), st.sampled_from(URLS), st.sampled_from(MODELS)),
        st.tuples(st.just("end"), st.sampled_from(URLS), st.none() | st.sampled_from(MODELS)),
        st.tuples(st.just("remove"), st.sampled_from(URLS)),
        st.tuples(st.sampled_from(["well", "sick"]), st.sampled_from(URLS)),
    ),
    max_size=40,
)


def play(fleet, story):
    for step in story:
        match step:
            case NodeFacts():
                fleet.update(step)
            case ("begin", url, model):
                fleet.begin(url, model, 0.0)
            case ("end", url, served):
                fleet.end(url, served)
            case ("remove", url):
                fleet.remove(url)
            case (health, url):
                fleet.set_healthy(url, health == "well")


@steady
@given(steps)
def test_what_is_kept_up_to_date_is_what_one_would_find_by_looking_at_every_node(story):
    fleet = Fleet()
    play(fleet, story)
    healthy = [node for node in fleet.nodes.values() if node.healthy]
    assert fleet.healthy == len(healthy)
    assert abs(fleet.mean_load - sum(node.load for node in healthy) / max(1, len(healthy))) < 1e-6
    for model in MODELS:
        for found, expected in (
            (fleet.holders(model), [node for node in fleet.nodes.values() if model in node.held]),
            (fleet.restorers(model), [node for node in fleet.nodes.values() if model in node.facts.restorable]),
            (fleet.shortlist(model), list(fleet.nodes.values())),
            (sorted(fleet.everyone(model)), list(fleet.nodes.values())),
        ):
            assert [node for _, _, node in found] == sorted(expected, key=lambda node: rank(model, node))
            assert all(fleet.nodes[url] is node for _, url, node in found)
    assert all(node.load >= node.in_flight >= 0 for node in fleet.nodes.values())


def test_load_is_what_the_node_said_and_what_was_sent_and_came_back_since():
    fleet = Fleet()
    fleet.update(NodeFacts("a", waiting_requests=3))
    assert fleet.nodes["a"].load == 3
    fleet.begin("a", "m", 0.0)
    fleet.begin("a", "m", 0.0)
    assert fleet.nodes["a"].load == 5
    fleet.end("a")
    assert fleet.nodes["a"].load == 4
    fleet.update(NodeFacts("a"))
    assert fleet.nodes["a"].load == 1, "its own request is there whatever the node says"
    fleet.end("a")
    assert fleet.nodes["a"].load == 0


def test_a_model_that_a_node_was_sent_for_counts_as_held_until_the_node_has_twice_said_otherwise():
    fleet = Fleet()
    fleet.update(NodeFacts("a"))
    fleet.begin("a", "m", 1.0)
    assert [url for _, url, _ in fleet.holders("m")] == ["a"]
    assert fleet.moved_at == {"m": 1.0}
    fleet.update(NodeFacts("a"))
    assert fleet.holders("m"), "the status may have been on its way already"
    fleet.update(NodeFacts("a"))
    assert not fleet.holders("m")
    fleet.begin("a", "m", 2.0)
    fleet.update(NodeFacts("a", loading=frozenset({"m"})))
    fleet.update(NodeFacts("a", resident=frozenset({"m"})))
    fleet.begin("a", "m", 3.0)
    assert fleet.moves == 2
    assert fleet.moved_at == {"m": 2.0}


def test_a_model_that_has_answered_is_there_whatever_the_last_status_said():
    fleet = Fleet()
    fleet.update(NodeFacts("a"))
    fleet.begin("a", "m", 0.0)
    fleet.end("a", "m")
    assert fleet.nodes["a"].facts.resident == {"m"}
    assert fleet.holders("m")
    fleet.update(NodeFacts("a"))
    assert not fleet.holders("m")


def test_how_long_one_would_wait_is_what_waits_at_the_speed_of_the_node():
    fleet = Fleet()
    fleet.update(NodeFacts("a", waiting_requests=4, waiting_tokens=2000, tokens_per_second=1000.0))
    assert fleet.nodes["a"].delay == pytest.approx(2.0)
    fleet.begin("a", "m", 0.0)
    assert fleet.nodes["a"].delay == pytest.approx(2.5)
    fleet.update(NodeFacts("a"))
    fleet.begin("a", "m", 0.0)
    assert fleet.nodes["a"].delay == pytest.approx(1.0)


def test_nodes_that_were_not_known_do_no_harm():
    fleet = Fleet()
    fleet.begin("a", "m", 0.0)
    fleet.end("a")
    fleet.remove("a")
    fleet.set_healthy("a", False)
    assert fleet.healthy == 0
    assert "a" in fleet.nodes
