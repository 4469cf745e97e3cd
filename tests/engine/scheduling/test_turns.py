from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.scheduling.turns import ModelTurns


class Piece(NamedTuple):
    place: int
    tokens: int


def waiting(turn_tokens, **models):
    turns = ModelTurns(turn_tokens)
    for model, sizes in models.items():
        add(turns, model, sizes)
    return turns


def add(turns, model, sizes, first=0):
    turns.add(model, "", 1.0, [Piece(first + place, size) for place, size in enumerate(sizes)], sum(sizes))


@pytest.mark.parametrize(
    ("turn_tokens", "models", "order"),
    [
        (0, {"a": [10] * 3, "b": [10] * 3}, "ababab"),
        (20, {"a": [10] * 3, "b": [10] * 3}, "aabbab"),
        (25, {"a": [10] * 4, "b": [10] * 4}, "aaabbbab"),  # the last batch may pass the turn
        (1000, {"a": [10] * 3, "b": [10] * 3}, "aaabbb"),
        (20, {"a": [10], "b": [10] * 3, "c": [10]}, "abbcb"),
    ],
)
def test_a_model_has_its_turn_and_then_the_next_one(turn_tokens, models, order):
    turns = waiting(turn_tokens, **models)
    taken = []
    while turns:
        assert turns.next_tokens > 0
        taken.append(turns.take(10).model)
    assert "".join(taken) == order
    assert turns.tokens == turns.next_tokens == 0


def test_a_model_that_comes_back_has_a_whole_turn_at_the_end_of_the_line():
    turns = waiting(20, a=[10], b=[10] * 2)
    taken = [turns.take(10).model]
    add(turns, "a", [10] * 3)
    while turns:
        taken.append(turns.take(10).model)
    assert "".join(taken) == "abbaaa"


def test_what_is_gone_is_dropped_and_the_turn_passes_on():
    turns = waiting(20, a=[10, 10], b=[10])
    model, batch, dropped = turns.take(10, lambda item: True)
    assert (model, batch, [item.place for item in dropped]) == ("a", [], [0, 1])
    assert turns.take(10).model == "b"


@given(
    st.lists(st.tuples(st.sampled_from("abcde"), st.lists(st.integers(1, 40), min_size=1, max_size=5)), max_size=30),
    st.integers(0, 100),
    st.integers(1, 60),
)
def test_no_model_waits_for_more_than_a_turn_of_every_other(arrivals, turn_tokens, budget):
    """Bound: (models - 1) * (turn_tokens + the greatest batch) tokens between two batches of a model that waits."""
    turns = ModelTurns(turn_tokens)
    since = dict.fromkeys("abcde", 0)
    left = []
    for place, (model, sizes) in enumerate(arrivals):
        if not any(name == model for name, _ in left):
            since[model] = 0
        add(turns, model, sizes, first=100 * place)
        left += [(model, Piece(100 * place + at, size)) for at, size in enumerate(sizes)]
        if place % 3 == 2:
            _take_one(turns, budget, left, since, turn_tokens)
    while turns:
        _take_one(turns, budget, left, since, turn_tokens)
    assert left == []
    assert turns.tokens == 0


def _take_one(turns, budget, left, since, turn_tokens):
    model, batch, _ = turns.take(budget)
    since[model] = 0
    for item in batch:
        left.remove((model, item))  # raises where something is taken twice
    for other in {name for name, _ in left} - {model}:
        since[other] += sum(item.tokens for item in batch)
        assert since[other] <= 4 * (turn_tokens + max(budget, 40))
    assert turns.tokens == sum(item.tokens for _, item in left)
