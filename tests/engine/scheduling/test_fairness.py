import math
from collections import Counter
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.scheduling.fairness import QUANTUM, FlowQueue


class Piece(NamedTuple):
    flow: str
    place: int
    tokens: int


def filled(**flows):
    """A queue with a flow of items of these lengths for each name."""
    queue = FlowQueue()
    for name, sizes in flows.items():
        add(queue, name, sizes)
    return queue


def add(queue, name, sizes, *, weight=1.0, first=0):
    queue.add(name, weight, [Piece(name, first + place, size) for place, size in enumerate(sizes)], sum(sizes))


def drained(queue, budget, is_gone=lambda _: False):
    """All batches."""
    batches = []
    while queue:
        batches.append(queue.take(budget, is_gone).batch)
    return batches


@pytest.mark.parametrize(
    ("sizes", "gone", "budget", "taken", "passed"),
    [
        ([], (), 10, [], 0),
        ([4, 4, 4], (), 8, [0, 1], 2),
        ([4, 4, 4], (), 100, [0, 1, 2], 3),
        ([50, 1], (), 10, [0], 1),  # above the budget: alone
        ([1, 50, 1], (), 10, [0], 1),  # nothing overtakes
        ([4, 4, 4], {0, 1}, 4, [2], 3),
        ([4, 4], {0, 1}, 4, [], 2),
        ([4, 9, 4], {1}, 8, [0, 2], 3),
    ],
)
def test_a_batch_takes_the_oldest_up_to_the_budget(sizes, gone, budget, taken, passed):
    queue = filled(flow=sizes)
    batch, dropped = queue.take(budget, lambda item: item.place in gone)
    assert [item.place for item in batch] == taken
    assert len(batch) + len(dropped) == passed
    assert len(queue) == len(sizes) - passed
    assert queue.tokens == sum(sizes) - sum(item.tokens for item in batch + dropped)


@given(st.lists(st.tuples(st.integers(1, 50), st.booleans()), max_size=40), st.integers(1, 60))
def test_batch_after_batch_everything_is_taken_once_in_order(waiting, budget):
    gone = {place for place, (_, left) in enumerate(waiting) if left}
    queue = filled(flow=[tokens for tokens, _ in waiting])
    order = []
    while queue:
        batch, dropped = queue.take(budget, lambda item: item.place in gone)
        assert batch or dropped
        assert len(batch) == 1 or sum(item.tokens for item in batch) <= budget
        order += [item.place for item in batch]
    assert order == [place for place in range(len(waiting)) if place not in gone]


@pytest.mark.parametrize(
    ("flows", "order"),
    [
        ({"a": [64] * 3, "b": [64] * 3}, "ababab"),
        ({"a": [32] * 4, "b": [32] * 4}, "aabbaabb"),
        ({"a": [192, 192], "b": [64] * 6}, "abbbabbb"),  # a debt is paid off over turns
        ({"a": [1], "b": [200], "c": [1]}, "abc"),
    ],
)
def test_flows_take_turns_by_their_tokens(flows, order):
    assert "".join(item.flow for batch in drained(filled(**flows), 1) for item in batch) == order


def test_a_flow_of_twice_the_weight_gets_twice_the_tokens():
    queue = FlowQueue()
    add(queue, "one", [16] * 200)
    add(queue, "two", [16] * 200, weight=2.0)
    served = Counter(item.flow for _ in range(15) for item in queue.take(160).batch)
    assert abs(served["two"] - 2 * served["one"]) <= 12


@pytest.mark.parametrize("weight", [0.0, -1.0, 1e-9, 1e9, math.inf, math.nan])
def test_an_absurd_weight_is_cut_to_a_sane_one(weight):
    queue = filled(a=[500] * 3)
    add(queue, "b", [500] * 3, weight=weight)
    assert len(drained(queue, 1)) == 6


def test_one_item_at_a_time_gains_nothing():
    """Bound: no more than its share and a turn, though the flow comes anew after every item."""
    queue = filled(**{f"steady{place}": [100] * 100 for place in range(3)})
    served = Counter()
    add(queue, "sly", [400])
    for _ in range(150):
        for item in queue.take(100).batch:
            served[item.flow] += item.tokens
            if item.flow == "sly":
                add(queue, "sly", [400])
    assert served["sly"] <= sum(served.values()) / 4 + 3 * QUANTUM + 400


def test_a_new_flow_among_a_hundred_noisy_ones_is_in_the_next_batch():
    """Bound: one turn of the ring (QUANTUM and an item) goes first."""
    queue = filled(**{f"noisy{place}": [20] * 100 for place in range(100)})
    for _ in range(37):
        queue.take(512)
    add(queue, "quiet", [30])
    before = []
    while not any(item.flow == "quiet" for item in before):
        before += queue.take(1).batch
    assert sum(item.tokens for item in before[:-1]) <= QUANTUM + 20


def test_a_flow_that_sends_less_than_its_share_never_waits_for_the_backlog():
    """Bound: as above, again and again, though the ring needs 14 batches to come round."""
    queue = filled(**{f"noisy{place}": [20] * 1000 for place in range(100)})
    for _ in range(20):
        queue.take(512)
    for place in range(50):
        for _ in range(7):
            queue.take(512)
        add(queue, "quiet", [30], first=place)
        before = []
        while not any(item.flow == "quiet" for item in before):
            before += queue.take(1).batch
        assert sum(item.tokens for item in before[:-1]) <= QUANTUM + 20


def test_a_stream_of_new_flows_does_not_starve_those_that_wait():
    """Bound: the flow's turn comes after at most 2 * (flows) turns, each of a quantum and an item at most."""
    queue = filled(old=[64, 20], other=[20] * 50)
    assert [item.flow for item in queue.take(64).batch] == ["old"]
    tokens = newcomers = 0
    while True:
        add(queue, f"new{newcomers}", [20] * 10)
        newcomers += 1
        batch = queue.take(64).batch
        if any(item.flow == "old" for item in batch):
            break
        tokens += sum(item.tokens for item in batch)
        assert tokens <= 2 * 3 * (QUANTUM + 20)


def test_a_long_text_in_a_flood_of_short_ones_waits_for_what_was_there_before_it():
    """Bound: what waited in its flow when it came, and one batch; whatever comes after."""
    queue = filled(flow=[8] * 200)
    add(queue, "flow", [512], first=1000)
    served, place = 0, 2000
    while True:
        add(queue, "flow", [8] * 100, first=place)
        place += 100
        batch = queue.take(512).batch
        if any(item.place == 1000 for item in batch):
            break
        served += sum(item.tokens for item in batch)
        assert served <= 200 * 8


def test_a_long_text_of_its_own_flow_is_in_the_second_batch_at_the_latest():
    """Bound: a turn of the ring goes first; where the text does not fit behind it, it begins the batch after."""
    queue = filled(**{f"short{place}": [8] * 1000 for place in range(20)})
    for _ in range(5):
        queue.take(512)
    add(queue, "long", [512])
    assert any(item.flow == "long" for _ in range(2) for item in queue.take(512).batch)


flows = st.sampled_from("abcdefgh")
adding = st.tuples(flows, st.lists(st.integers(1, 600), min_size=1, max_size=8), st.sampled_from([0.25, 1.0, 3.0]))
steps = st.lists(st.one_of(adding, st.integers(1, 700)), max_size=60)


@given(steps, st.integers(0, 5))
def test_whatever_comes_and_goes_nothing_is_lost_or_taken_twice_or_out_of_its_flows_order(steps, leaving):
    queue = FlowQueue()
    added, gone, order = Counter(), set(), []

    def take(budget):
        batch, dropped = queue.take(budget, gone.__contains__)
        assert len(batch) == 1 or sum(item.tokens for item in batch) <= budget
        assert not gone.intersection(batch)
        assert gone.issuperset(dropped)
        order.extend(batch)
        order.extend(dropped)

    for step in steps:
        if isinstance(step, int):
            take(step)
        else:
            name, sizes, weight = step
            add(queue, name, sizes, weight=weight, first=added[name])
            gone.update(Piece(name, added[name] + at, size) for at, size in enumerate(sizes) if at % 6 < leaving % 3)
            added[name] += len(sizes)
        assert queue.tokens >= len(queue)
    while queue:
        take(100)
    assert queue.tokens == 0
    for name in added:
        kept = [item.place for item in order if item.flow == name and item not in gone]
        assert kept == sorted(kept), "oldest first inside a flow"
    assert sorted((item.flow, item.place) for item in order) == sorted(
        (name, place) for name, count in added.items() for place in range(count)
    )


weights = st.sampled_from([0.25, 0.5, 1.0, 2.0, 5.0])
lengths = st.integers(1, 600)


@given(st.lists(st.tuples(weights, lengths), min_size=2, max_size=6), st.integers(1, 40), st.integers(1, 700))
def test_flows_that_wait_all_the_while_are_served_by_weight(waiting, batches, budget):
    """Bound: served / weight differs by at most 3 * QUANTUM + L / weight + L / other weight, for any two of them."""
    queue = FlowQueue()
    for name, (weight, length) in enumerate(waiting):
        add(queue, str(name), [length] * (1 + batches * max(budget, 600) // length), weight=weight)
    served = Counter()
    for _ in range(batches):
        for item in queue.take(budget).batch:
            served[item.flow] += item.tokens
    longest = max(length for _, length in waiting)
    for name, (weight, _) in enumerate(waiting):
        for other, (other_weight, _) in enumerate(waiting):
            bound = 3 * QUANTUM + longest / weight + longest / other_weight
            assert abs(served[str(name)] / weight - served[str(other)] / other_weight) <= bound
