"""Which of many scored spans of words are kept (GLiNER's `decoding/decoder.py`), as pure functions over arrays."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]
Scores = NDArray[np.float32]


class Candidates(NamedTuple):
    """Spans of words that a label may fit; four arrays (N,)."""

    first: Places
    """The place of the first word."""
    last: Places
    """The place of the last word."""
    label: Places
    score: Scores


def from_words(scores: Scores, thresholds: Scores) -> Candidates:
    """(W, C, 3) probabilities that a label's span begins, ends and goes on at each word; above the thresholds (C,).

    A span's words all go on with it; its score is its weakest one.
    """
    found = [_of_label(scores[:, label], label, threshold) for label, threshold in enumerate(thresholds.tolist())]
    return _together(found)


def _of_label(scores: Scores, label: int, threshold: float) -> Candidates:
    """(W, 3) -> the spans of one label."""
    # A number that is none is above every threshold: it is somebody's to see.
    begins, ends = (np.flatnonzero(~(scores[:, place] <= threshold)) for place in (0, 1))
    broken = np.concatenate([[0], np.cumsum(scores[:, 2] < threshold)])  # words before each that do not go on
    parts = []
    for first in begins.tolist():
        last = ends[(ends >= first) & (broken[ends + 1] == broken[first])]
        weakest = np.minimum.accumulate(scores[first : last.max(initial=first) + 1, 2])[last - first]
        score = np.minimum(weakest, np.minimum(scores[first, 0], scores[last, 1]))
        parts.append(Candidates(np.full(len(last), first), last, np.full(len(last), label), score))
    return _together(parts)


def joined(parts: Iterable[tuple[Candidates, int, int]]) -> Candidates:
    """Candidates of windows with the places of the windows' first words and labels, as those of the whole text."""
    return _together(
        [
            Candidates(found.first + words, found.last + words, found.label + labels, found.score)
            for found, words, labels in parts
        ]
    )


def chosen(found: Candidates, *, flat: bool, multi_label: bool) -> Candidates:
    """The best spans first, whatever they shut out left out; in order of their place, then of their score.

    `flat`: no two share a word; otherwise one may lie in another, but none begins inside of one and ends outside of it.
    `multi_label`: a span has all of its labels; otherwise the best one.
    """
    order = np.lexsort((found.label, found.last, found.first, -found.score))
    first, last, label, score = (column[order] for column in found)
    end = int(last.max(initial=0)) + 1
    spans, best, which = np.unique(first * end + last, return_index=True, return_inverse=True)
    kept = np.zeros(len(spans), dtype=bool)
    ranked = np.argsort(best)
    kept[
        ranked[
            _apart(first[best[ranked]], last[best[ranked]])
            if flat
            else _nested(first[best[ranked]], last[best[ranked]])
        ]
    ] = True
    if multi_label:
        _, once = np.unique((first * end + last) * (int(label.max(initial=0)) + 1) + label, return_index=True)
    else:
        once = best
    rows = once[kept[which[once]]]
    rows = rows[np.lexsort((rows, last[rows], first[rows]))]
    return Candidates(first[rows], last[rows], label[rows], score[rows])


def _apart(first: Places, last: Places) -> list[int]:
    """Of spans by rank, those that share no word with a better one that is kept."""
    taken = np.zeros(int(last.max(initial=0)) + 1, dtype=bool)
    kept = []
    for place, (one, other) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        if not taken[one : other + 1].any():
            taken[one : other + 1] = True
            kept.append(place)
    return kept


def _nested(first: Places, last: Places) -> list[int]:
    """Of spans by rank, those that cross no better one that is kept."""
    firsts, lasts = np.empty_like(first), np.empty_like(last)
    kept: list[int] = []
    for place, (one, other) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        begun, ended = firsts[: len(kept)], lasts[: len(kept)]
        crosses = ((begun < one) & (one <= ended) & (ended < other)) | (
            (one < begun) & (begun <= other) & (other < ended)
        )
        if not crosses.any():
            firsts[len(kept)], lasts[len(kept)] = one, other
            kept.append(place)
    return kept


def _together(parts: Iterable[Candidates]) -> Candidates:
    columns = list(zip(*parts, strict=True))
    return Candidates(*(np.concatenate(column) for column in columns)) if columns else NOTHING


NOTHING = Candidates(
    np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
)


def rows_of(found: Candidates) -> Iterator[tuple[int, int, int, float]]:
    """First word, last word, label and score of each."""
    return zip(*(column.tolist() for column in found), strict=True)
