"""What the demo's nodes say of texts: by words alone, but near to what a model would find."""

import math
import re
import struct
from collections.abc import Sequence

import msgspec

from benchmarks.fake_engine import vector
from engine.protocol import (
    ClassifyReply,
    ClassifyRequest,
    EmbedReply,
    EmbedRequest,
    Entity,
    ExtractReply,
    ExtractRequest,
    LabelScore,
    RerankReply,
    RerankRequest,
    Timings,
)

KNOWN = {
    "Ada Lovelace": "person", "Charles Babbage": "person", "London": "place", "Turin": "place", "June 1833": "date",
    "Analytical Engine": "machine",
}  # fmt: skip
"""Spans that are found."""
CUES = {
    "complaint": ("late", "broken", "refund", "never"), "question": ("how", "when", "what", "?"),
    "praise": ("love", "great", "thank", "perfect"),
}  # fmt: skip
"""Words that speak for a label."""
SHARED = 0.55
"""Of a vector, what all texts have in common: models put no two texts at a right angle."""


class Answering:
    """Replies to the calls that a page shows."""

    def __init__(self) -> None:
        self._encode = msgspec.msgpack.Encoder().encode

    def answer(self, path: bytes, body: bytes) -> bytes | None:
        """The reply; None for calls that any fake can answer."""
        if path == b"/embed":
            request = msgspec.msgpack.decode(body, type=EmbedRequest)
            return self._encode(_embedded(request)) if request.outputs == ("dense",) else None
        if path == b"/rerank":
            return self._encode(_reranked(msgspec.msgpack.decode(body, type=RerankRequest)))
        if path == b"/classify":
            return self._encode(_classified(msgspec.msgpack.decode(body, type=ClassifyRequest)))
        if path == b"/extract":
            return self._encode(_extracted(msgspec.msgpack.decode(body, type=ExtractRequest)))
        return None


def _embedded(request: EmbedRequest) -> EmbedReply:
    width = request.dimensions or 384
    vectors = b"".join(struct.pack(f"<{width}f", *meaning(text, width)) for text in request.inputs)
    return EmbedReply(width, vectors, [len(words(text)) + 2 for text in request.inputs], [], Timings())


def _reranked(request: RerankRequest) -> RerankReply:
    query = meaning(request.query, 384)
    scores = [_logistic(9 * (_cosine(query, meaning(text, 384)) - 0.5)) for text in request.documents]
    return RerankReply(scores, sum(len(words(text)) + 3 for text in request.documents), [], Timings())


def _classified(request: ClassifyRequest) -> ClassifyReply:
    labels = request.labels or tuple(CUES)
    found = []
    for item in request.inputs:
        text = (item if isinstance(item, str) else " ".join(item)).lower()
        weights = [math.exp(2.2 * sum(cue in text for cue in CUES.get(label, ()))) for label in labels]
        fits = [LabelScore(label, weight / sum(weights)) for label, weight in zip(labels, weights, strict=True)]
        found.append(sorted(fits, key=lambda fit: -fit.score))
    return ClassifyReply(found, [len(str(item).split()) + 2 for item in request.inputs], [], Timings())


def _extracted(request: ExtractRequest) -> ExtractReply:
    found = []
    for text in request.inputs:
        spans = [
            Entity(match.start(), match.end(), match.group(), label, 0.99 - 0.013 * place)
            for place, (name, label) in enumerate(KNOWN.items())
            if request.labels is None or label in request.labels
            for match in re.finditer(re.escape(name), text)
        ]
        found.append(sorted(spans, key=lambda span: span.start))
    return ExtractReply(found, [len(words(text)) + 2 for text in request.inputs], [], Timings())


def meaning(text: str, width: int) -> Sequence[float]:
    """A unit vector: texts that share stems of words are near each other."""
    parts = [(SHARED, "every text"), *((1 / math.sqrt(len(words(text)) + 1), word[:4]) for word in words(text))]
    total = [0.0] * width
    for weight, part in parts:
        for place, value in enumerate(struct.unpack(f"<{width}f", vector(part, width))):
            total[place] += weight * value
    length = math.sqrt(sum(value * value for value in total)) or 1.0
    return [value / length for value in total]


def words(text: str) -> Sequence[str]:
    """Those that mean something."""
    return [word for word in re.findall(r"\w+", text.lower()) if len(word) > 2] or ["nothing"]


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value))
