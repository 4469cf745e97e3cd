"""Labelled tokens to spans of the text (transformers' token-classification pipeline, all its strategies)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import tokenizers
from numpy.typing import NDArray

from engine.encoded import Encoded
from engine.errors import BadRequest, InputTooLong
from engine.protocol import Aggregation, Entity, ExtractReply, ExtractRequest
from engine.tasks.asking import check_labels, head_of, unable
from engine.tasks.labels import Numbers, softmax
from engine.tasks.running import Visit
from engine.tokenizer import CHARACTERS_PER_TOKEN, Tokenized, not_unicode

OUTSIDE = "O"
"""The label of tokens that belong to nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class TokenPlaces:
    """Where a text's tokens stand in it."""

    spans: NDArray[np.int64]
    """(L, 2): from character to character."""
    special: NDArray[np.bool_]
    """(L,): of the model, not of the text."""
    inner: NDArray[np.bool_]
    """(L,): goes on with the word of the token before it."""


class Labelled(NamedTuple):
    """A token, a word, or a span."""

    start: int
    end: int
    label: str
    score: float


async def label_tokens(visit: Visit, request: ExtractRequest) -> ExtractReply:
    """The spans that a model's own labels fit; `labels` of the request are some of them."""
    head = head_of(visit.model.spec, "token_scores")
    if head is None:
        raise unable(visit.model.spec, "extract")
    own: tuple[str, ...] = head.settings["labels"]
    wanted = _wanted(request, own)
    read = partial(_read, request=request, limit=visit.limit, unknown=head.settings["unknown"])
    tokenized = await visit.read(read, len(request.inputs))
    rows = await visit.run(tokenized.encoded)
    entities = []
    for text, encoded, row in zip(request.inputs, tokenized.encoded, rows, strict=True):
        found = spans(softmax(row["token_scores"]), encoded.marks, own, request.aggregation)
        entities.append(
            [
                Entity(one.start, one.end, text[one.start : one.end], one.label, one.score)
                for one in found
                if (wanted is None or _tag(one.label)[1] in wanted) and one.score >= (request.threshold or 0)
            ]
        )
    return ExtractReply(
        entities=entities,
        token_counts=list(map(len, tokenized.encoded)),
        truncated=tokenized.truncated,
        timings=visit.timings,
    )


def spans(scores: Numbers, places: TokenPlaces, labels: Sequence[str], how: Aggregation) -> list[Labelled]:
    """(L, labels) probabilities to what is labelled otherwise than outside."""
    tokens = np.flatnonzero(~places.special)
    words = [[int(token)] for token in tokens]
    if how in ("first", "average", "max"):
        words = _words(tokens, places.inner)
    units = [_unit(scores[word], word, places, labels, how) for word in words]
    found = units if how == "none" else _grouped(units)
    return [one for one in found if one.label != OUTSIDE]


def _words(tokens: NDArray[np.intp], inner: NDArray[np.bool_]) -> list[list[int]]:
    words: list[list[int]] = []
    for token in tokens.tolist():
        if words and inner[token]:
            words[-1].append(token)
        else:
            words.append([token])
    return words


def _unit(scores: Numbers, word: Sequence[int], places: TokenPlaces, labels: Sequence[str], how: str) -> Labelled:
    """One label for a word's tokens, by their scores (N, labels)."""
    one = scores.max(axis=1).argmax() if how == "max" else 0
    row = scores.mean(axis=0) if how == "average" else scores[one]
    best = int(row.argmax())
    return Labelled(int(places.spans[word[0], 0]), int(places.spans[word[-1], 1]), labels[best], float(row[best]))


def _grouped(units: Sequence[Labelled]) -> Iterator[Labelled]:
    """Neighbours of one kind together, until one says that it begins anew."""
    groups: list[list[Labelled]] = []
    for unit in units:
        begins, kind = _tag(unit.label)
        if groups and not begins and kind == _tag(groups[-1][-1].label)[1]:
            groups[-1].append(unit)
        else:
            groups.append([unit])
    for group in groups:
        score = float(np.mean([unit.score for unit in group]))
        yield Labelled(group[0].start, group[-1].end, group[0].label.split("-", 1)[-1], score)


def _tag(label: str) -> tuple[bool, str]:
    """Whether a label begins a span, and of what kind: B-PER, I-PER, or PER, which goes on."""
    return label.startswith("B-"), label[2:] if label.startswith(("B-", "I-")) else label


def _wanted(request: ExtractRequest, own: Sequence[str]) -> set[str] | None:
    if request.labels is None:
        return None
    check_labels(request.labels)
    kinds = {_tag(label)[1] for label in own} - {OUTSIDE}
    if unknown := [label for label in request.labels if label not in kinds]:
        raise BadRequest(
            f"The model knows no {', '.join(unknown[:10])}; its labels are {', '.join(sorted(kinds)[:50])}."
        )
    return set(request.labels)


def _read(tokenizer: tokenizers.Tokenizer, *, request: ExtractRequest, limit: int, unknown: str | None) -> Tokenized:
    """The texts' tokens with their places. A job for the tokenizer's thread."""
    if (fault := not_unicode(request.inputs)) is not None:
        raise fault
    prefix = getattr(tokenizer.model, "continuing_subword_prefix", None)
    nobody = tokenizer.token_to_id(unknown) if unknown is not None else None
    encoded, truncated = [], []
    for index, text in enumerate(request.inputs):
        encoding = _encode(tokenizer, text, limit)
        if len(encoding) >= limit and encoding.overflowing:
            truncated.append(index)
        places = _places(encoding, text, by_words=bool(prefix), unknown=nobody)
        encoded.append(Encoded(np.array(encoding.ids, dtype=np.int32), outputs=("token_scores",), marks=places))
    if truncated and not request.truncate:
        tokenizer.no_truncation()
        actual = len(tokenizer.encode(request.inputs[truncated[0]]).ids)
        raise InputTooLong(index=truncated[0], limit=limit, actual=actual)
    return Tokenized(encoded, truncated)


def _encode(tokenizer: tokenizers.Tokenizer, text: str, limit: int) -> tokenizers.Encoding:
    """A text cut to the limit; of a very long one no more is looked at than that takes."""
    most = limit * CHARACTERS_PER_TOKEN
    tokenizer.enable_truncation(limit)
    encoding = tokenizer.encode(text[:most])
    # Twice the limit is far enough from the cut that the tokens kept are those of the whole text.
    if len(text) > most and len(encoding) + sum(map(len, encoding.overflowing)) < 2 * limit:
        encoding = tokenizer.encode(text)
    return encoding


def _places(encoding: tokenizers.Encoding, text: str, *, by_words: bool, unknown: int | None) -> TokenPlaces:
    """Tokens go on with a word by their vocabulary's mark; where it has none, wherever no space comes before them."""
    inner = [
        token != unknown
        and (len(word) != end - start if by_words else start > 0 and " " not in text[start - 1 : start + 1])
        for token, word, (start, end) in zip(encoding.ids, encoding.tokens, encoding.offsets, strict=True)
    ]
    return TokenPlaces(
        np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2),
        np.array(encoding.special_tokens_mask, dtype=bool),
        np.array(inner, dtype=bool),
    )
