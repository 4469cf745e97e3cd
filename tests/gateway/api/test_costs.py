"""Upper bounds by what the register knows; where it knows nothing, of the dearer way."""

from dataclasses import replace

import pytest

from gateway.api.costs import classify_cost, embed_cost, extract_cost, rerank_cost
from gateway.services.register.model_facts import ModelFacts
from gateway.services.snapshot.entries import ModelEntry

UNKNOWN = ModelEntry(
    id="m", aliases=(), source="m", revision=None, pool="default", dtype=None, max_tokens=None,
    pinned=False, created=0, dimensions=8, input_limit=40,
)  # fmt: skip


def known(*outputs, added=0):
    return replace(UNKNOWN, facts=ModelFacts(outputs=outputs, added_tokens=added))


def test_a_prompt_counts_with_every_text_and_is_cut_with_it():
    assert embed_cost(known("dense", added=10), ["abc", "a" * 99]) == 15 + 40
    assert embed_cost(UNKNOWN, ["abc", "a" * 99]) == 5 + 40


def test_the_operators_own_limit_counts_where_it_is_lower():
    assert embed_cost(replace(UNKNOWN, max_tokens=8), ["a" * 99]) == 8


@pytest.mark.parametrize(
    ("model", "cost"),
    [
        (known("dense"), 12 + 3 * 5),
        (known("multi", added=2), 14 + 3 * 7),
        (known("scores"), 3 * 17),
        (known("scores", added=100), 3 * 40),
        (UNKNOWN, 3 * 17),
    ],
)
def test_a_query_is_read_once_or_with_every_document(model, cost):
    assert rerank_cost(model, "q" * 10, ["doc"] * 3, None) == cost


def test_one_document_may_cost_more_apart_where_nobody_knows():
    assert rerank_cost(replace(UNKNOWN, input_limit=6), "q" * 10, ["doc"], None) == 6 + 5


def test_an_instruction_is_read_with_every_document():
    assert rerank_cost(known("scores"), "q", ["doc"] * 2, "i" * 7) == 2 * (1 + 3 + 7 + 4)


@pytest.mark.parametrize(
    ("model", "cost"),
    [(known("scores"), 2 * 40), (known("classes"), 5 + 3 + 2 + 4 + 2), (UNKNOWN, 2 * 40)],
)
def test_labels_are_read_one_by_one_or_together(model, cost):
    assert classify_cost(model, ["abc"], ["red", "blue"], "x" * 99) == cost


def test_own_labels_cost_nothing():
    assert classify_cost(known("scores"), ["abc", ("abc", "d")], None, None) == 7 + 8


def test_the_usual_hypothesis_counts_where_none_is_given():
    assert classify_cost(replace(known("scores"), input_limit=None), ["abc"], ["red"], None) == 3 + 3 + 19 + 4


def test_spans_are_found_with_all_labels_at_once():
    assert extract_cost(known("spans"), ["abc"], ["red"]) == 3 + 4 + 5
    assert extract_cost(known("spans"), ["a" * 100], ["red"]) == 2 * (100 + 4 + 5), "two windows"
    assert extract_cost(known("spans"), ["abc"], ["red"] * 10) == 6 * (3 + 4) + 50, "six groups"
    assert extract_cost(UNKNOWN, ["abc"], None) == 3 + 4
    assert extract_cost(known("token_scores"), ["abc", "a" * 99], ["red"]) == 5 + 40
