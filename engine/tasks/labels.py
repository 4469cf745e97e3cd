"""Logits to probabilities, and scores to what a reply says of labels."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from engine.protocol import ClassifyRequest, LabelScore

Numbers = NDArray[np.float32]


def sigmoid(logits: Numbers) -> Numbers:
    """1 / (1 + exp(-x)), without overflow."""
    return np.asarray(np.exp(-np.logaddexp(np.float32(0), -logits)), dtype=np.float32)


def softmax(logits: Numbers) -> Numbers:
    """Over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), dtype=np.float32)


ACTIVATIONS: Mapping[str, Callable[[Numbers], Numbers]] = {
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "identity": lambda logits: logits,
}
"""Of the one logit of a cross-encoder."""


def best(labels: Sequence[str], scores: Numbers, request: ClassifyRequest) -> list[LabelScore]:
    """The labels by their scores (labels,), the best first; equals in the labels' own order."""
    order = np.argsort(-scores, kind="stable")[: request.top_k]
    found = [LabelScore(labels[place], float(scores[place])) for place in order]
    return [one for one in found if request.threshold is None or one.score >= request.threshold]
