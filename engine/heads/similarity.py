"""Scores of documents for a query from what a model says of each; numpy, float32."""

from collections.abc import Sequence

import numpy as np

from engine.heads.token_weights import Sparse
from engine.heads.vectors import Vectors

PRODUCTS = 2**22
"""That are made at once."""


def max_sim(query: Vectors, documents: Sequence[Vectors], *, mean: bool) -> list[float]:
    """The sum, or mean, over the query's vectors (L, D) of the greatest product with one of the document's (L', D).

    A text without vectors scores 0.
    """
    scores = [0.0] * len(documents)
    if not len(query):
        return scores
    places = [place for place, document in enumerate(documents) if len(document)]
    for group in _groups(places, documents, max(1, PRODUCTS // len(query))):
        products = query @ np.concatenate([documents[place] for place in group]).T  # (L, sum of L')
        starts = np.cumsum([0, *(len(documents[place]) for place in group[:-1])])
        greatest = np.maximum.reduceat(products, starts, axis=1)  # (L, documents)
        totals = greatest.mean(axis=0) if mean else greatest.sum(axis=0)
        for place, total in zip(group, totals.tolist(), strict=True):
            scores[place] = total
    return scores


def sparse_dot(query: Sparse, documents: Sequence[Sparse]) -> list[float]:
    """The sum over the words that both have of the products of their weights."""
    return [_dot(query, document) for document in documents]


def _dot(one: Sparse, other: Sparse) -> float:
    _, ours, theirs = np.intersect1d(one[0], other[0], assume_unique=True, return_indices=True)
    return float(one[1][ours] @ other[1][theirs])


def _groups(places: Sequence[int], documents: Sequence[Vectors], most: int) -> list[list[int]]:
    """Neighbours that have at most so many vectors together, or one that has more."""
    groups: list[list[int]] = []
    room = 0
    for place in places:
        if (length := len(documents[place])) > room or not groups:
            groups.append([])
            room = most
        groups[-1].append(place)
        room -= length
    return groups
