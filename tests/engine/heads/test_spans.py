"""Which scored spans are kept: tables over the pure functions."""

import numpy as np
import pytest

from engine.heads.spans import NOTHING, Candidates, chosen, from_words, joined, rows_of


def candidates(*rows):
    first, last, label, score = zip(*rows, strict=True)
    return Candidates(np.array(first), np.array(last), np.array(label), np.array(score, dtype=np.float32))


def kept(found):
    return [(first, last, label) for first, last, label, _ in rows_of(found)]


OVERLAPPING = candidates((0, 2, 0, 0.6), (1, 1, 1, 0.9), (2, 4, 0, 0.8), (5, 5, 0, 0.7), (5, 5, 1, 0.75))


@pytest.mark.parametrize(
    ("flat", "multi_label", "expected"),
    [
        (True, False, [(1, 1, 1), (2, 4, 0), (5, 5, 1)]),
        (True, True, [(1, 1, 1), (2, 4, 0), (5, 5, 1), (5, 5, 0)]),
        (False, False, [(1, 1, 1), (2, 4, 0), (5, 5, 1)]),
        (False, True, [(1, 1, 1), (2, 4, 0), (5, 5, 1), (5, 5, 0)]),
    ],
)
def test_the_better_of_two_that_share_words_stays(flat, multi_label, expected):
    assert kept(chosen(OVERLAPPING, flat=flat, multi_label=multi_label)) == expected


@pytest.mark.parametrize(
    ("rows", "flat", "expected"),
    [
        ([(0, 3, 0, 0.6), (1, 2, 0, 0.9)], True, [(1, 2, 0)]),
        ([(0, 3, 0, 0.6), (1, 2, 0, 0.9)], False, [(0, 3, 0), (1, 2, 0)]),
        ([(0, 3, 0, 0.6), (0, 2, 0, 0.9)], False, [(0, 2, 0), (0, 3, 0)]),
        ([(0, 2, 0, 0.6), (2, 3, 0, 0.9)], False, [(2, 3, 0)]),
        ([(0, 1, 0, 0.6), (2, 3, 0, 0.5)], True, [(0, 1, 0), (2, 3, 0)]),
        ([(0, 1, 1, 0.5), (0, 1, 0, 0.5)], True, [(0, 1, 0)]),
        ([(0, 0, 0, 0.5), (0, 1, 0, 0.5)], True, [(0, 0, 0)]),
    ],
    ids=["inside", "inside, nested", "one beginning", "one word shared", "side by side", "labels alike", "spans alike"],
)
def test_two_spans(rows, flat, expected):
    assert kept(chosen(candidates(*rows), flat=flat, multi_label=False)) == expected


def test_nothing_stays_nothing():
    assert kept(chosen(NOTHING, flat=True, multi_label=False)) == []
    assert kept(joined([])) == []


def test_windows_are_joined_by_their_places_and_the_better_score_of_a_span_counts():
    windows = [candidates((3, 4, 0, 0.6)), candidates((0, 1, 0, 0.9), (2, 2, 1, 0.5)), candidates((9, 9, 0, 0.8))]
    found = joined(zip(windows, (0, 3, 0), (0, 0, 2), strict=True))
    picked = list(rows_of(chosen(found, flat=True, multi_label=True)))
    assert [row[:3] for row in picked] == [(3, 4, 0), (5, 5, 1), (9, 9, 2)]
    assert picked[0][3] == pytest.approx(0.9)


def plainly(scores, thresholds):
    """The library's loops (`TokenDecoder._calculate_span_score`)."""
    found = []
    for label in range(scores.shape[1]):
        for first in range(len(scores)):
            for last in range(first, len(scores)):
                inside = scores[first : last + 1, label, 2]
                ends = scores[first, label, 0], scores[last, label, 1]
                if min(ends) > thresholds[label] and inside.min() >= thresholds[label]:
                    found.append((first, last, label, min(*ends, inside.min())))
    return found


@pytest.mark.parametrize("seed", range(5))
def test_spans_of_words_are_those_that_the_definition_gives(seed):
    scores = np.random.default_rng(seed).random((12, 3, 3), dtype=np.float32)
    thresholds = np.array([0.5, 0.2, 0.9], dtype=np.float32)
    ours = sorted(rows_of(from_words(scores, thresholds)))
    assert ours == sorted(plainly(scores, thresholds))
    assert ours


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("multi_label", [True, False])
def test_many_spans_are_chosen_as_by_the_librarys_greedy_search(flat, multi_label):
    generator = np.random.default_rng(3)
    first = generator.integers(0, 30, 300)
    rows = {(int(one), int(one + generator.integers(0, 5)), int(generator.integers(0, 4))) for one in first}
    found = candidates(*((*row, score) for row, score in zip(sorted(rows), generator.random(len(rows)), strict=True)))
    picked = []
    for one in sorted(rows_of(found), key=lambda row: -row[3]):
        if not any(_shut_out(one, other, flat, multi_label) for other in picked):
            picked.append(one)
    assert sorted(rows_of(chosen(found, flat=flat, multi_label=multi_label))) == sorted(picked)


def _shut_out(one, other, flat, multi_label):
    if one[:2] == other[:2]:
        return not multi_label
    apart = one[0] > other[1] or other[0] > one[1]
    inside = (one[0] <= other[0] and one[1] >= other[1]) or (other[0] <= one[0] and other[1] >= one[1])
    return not (apart or (inside and not flat))


def test_many_spans_at_once_take_no_time_of_note():
    first = np.repeat(np.arange(400), 12 * 50)
    last = first + np.tile(np.repeat(np.arange(12), 50), 400)
    scores = np.random.default_rng(0).random(len(first), dtype=np.float32)
    found = Candidates(first, last, np.tile(np.arange(50), 400 * 12), scores)
    assert len(kept(chosen(found, flat=True, multi_label=False))) > 30
    assert len(kept(chosen(found, flat=False, multi_label=False))) > 30
