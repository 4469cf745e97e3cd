"""Texts as models read them that find spans for labels (GLiNER): the labels, then the text word by word.

`marker label marker label … separator word word …`, each of them tokenized by itself, so that prompt and words are
tokenized once and put together. Texts beyond the model's limit of words, which the reference cuts, are read in windows
that overlap; labels beyond half of its limit of tokens in groups.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

import numpy as np
import tokenizers
from numpy.typing import NDArray

from engine.configs.label_reading import WordReading
from engine.encoded import Encoded, TokenIds
from engine.errors import InputTooLong, LabelsTooLong
from engine.tokenizer import Tokenized, not_unicode

WORD = re.compile(r"\w+(?:[-_]\w+)*|\S")
"""GLiNER's `WhitespaceTokenSplitter`."""
OVERLAP = 8
"""Of a window's words, one in so many is in the next one too; more where spans may be longer."""
OUTPUTS = ("spans",)

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class SpanMarks:
    """What a head must know of a sequence, and where it comes from."""

    labels: Places
    """(C,): the token of each label."""
    words: Places
    """(W, 2): the first token of each word, and the one after its last."""
    thresholds: NDArray[np.float32]
    """(C,): spans that a label fits no better are left out."""
    text: int = 0
    """The index of the text."""
    characters: Places = field(default_factory=lambda: np.zeros((0, 2), dtype=np.int64))
    """(W, 2): where the words stand in the text."""
    first_word: int = 0
    first_label: int = 0
    """Their places in the text and among all labels."""


class _Group(NamedTuple):
    """Labels that go into one prompt."""

    ids: TokenIds
    places: Places
    """(C,): of their tokens in it."""
    first: int


class _Words(NamedTuple):
    """A text's words that have tokens."""

    ids: TokenIds
    bounds: Places
    """(W + 1,): where the tokens of each word lie."""
    characters: Places


def read_words(
    tokenizer: tokenizers.Tokenizer,
    *,
    texts: Sequence[str],
    labels: Sequence[str],
    thresholds: NDArray[np.float32],
    reading: WordReading,
    limit: int,
    truncate: bool,
) -> Tokenized:
    """All windows of all texts, with all labels; a text without words has none. A job for the tokenizer's thread.

    Only a word that alone leaves no room is cut. Raises LabelsTooLong where a label leaves a text no room.
    """
    if (fault := not_unicode(texts)) is not None:
        raise fault
    if (fault := not_unicode(labels)) is not None:
        fault.index = None
        raise fault
    tokenizer.no_truncation()
    opening, closing = _frame(tokenizer)
    groups = list(_grouped(tokenizer, labels, reading, most=limit // 2 - len(opening) - len(closing)))
    encoded, truncated = [], []
    for index, words in enumerate(_split(tokenizer, texts)):
        for group in groups:
            room = limit - len(opening) - len(group.ids) - len(closing)
            for first, end in _windows(words.bounds, reading, room):
                begin = int(words.bounds[first])
                cut = min(int(words.bounds[end]), begin + room)
                if cut < words.bounds[end]:
                    truncated.append(index)
                before = len(opening) + len(group.ids)
                bounds = np.minimum(words.bounds[first : end + 1], cut) - begin + before
                marks = SpanMarks(
                    labels=group.places + len(opening),
                    words=np.stack([bounds[:-1], bounds[1:]], axis=1),
                    thresholds=thresholds[group.first : group.first + len(group.places)],
                    text=index,
                    characters=words.characters[first:end],
                    first_word=first,
                    first_label=group.first,
                )
                ids = np.concatenate([opening, group.ids, words.ids[begin:cut], closing])
                encoded.append(Encoded(ids, outputs=OUTPUTS, marks=marks))
    if truncated and not truncate:
        longest = max(len(sequence) for sequence in encoded if sequence.marks.text == truncated[0])
        raise InputTooLong(index=truncated[0], limit=limit, actual=max(longest, limit + 1))
    return Tokenized(encoded, sorted(set(truncated)))


def _frame(tokenizer: tokenizers.Tokenizer) -> tuple[TokenIds, TokenIds]:
    """The special tokens before and after a text."""
    encoding = tokenizer.encode(["a"], is_pretokenized=True)
    ids, inner = np.array(encoding.ids, dtype=np.int32), np.flatnonzero(np.array(encoding.special_tokens_mask) == 0)
    return ids[: inner[0]], ids[inner[-1] + 1 :]


def _grouped(
    tokenizer: tokenizers.Tokenizer, labels: Sequence[str], reading: WordReading, most: int
) -> Iterator[_Group]:
    """Prompts of at most so many tokens; one, where all labels fit into it."""
    words = [[reading.marker, label] for label in labels]
    *prompts, separator = (
        np.array(encoding.ids, dtype=np.int32)
        for encoding in tokenizer.encode_batch(
            [*words, [reading.separator]], is_pretokenized=True, add_special_tokens=False
        )
    )
    lengths = [len(prompt) for prompt in prompts]
    room = most - len(separator)
    if max(lengths) > room:
        raise LabelsTooLong(limit=room, actual=max(lengths))
    first = 0
    while first < len(labels):
        end = first + int(np.searchsorted(np.cumsum(lengths[first:]), room, side="right"))
        places = np.cumsum([0, *lengths[first : end - 1]]) + (0 if reading.marked else 1)
        yield _Group(np.concatenate([*prompts[first:end], separator]), places, first)
        first = end


def _split(tokenizer: tokenizers.Tokenizer, texts: Sequence[str]) -> Iterator[_Words]:
    """A text's words; those that the tokenizer gives no token are as spaces."""
    found = [[(match.group(), match.span()) for match in WORD.finditer(text)] for text in texts]
    encodings = tokenizer.encode_batch(
        [[word for word, _ in words] for words in found], is_pretokenized=True, add_special_tokens=False
    )
    for words, encoding in zip(found, encodings, strict=True):
        counts = np.bincount(np.array(encoding.word_ids, dtype=np.int64), minlength=len(words))
        kept = np.flatnonzero(counts)
        places = np.fromiter(chain.from_iterable(span for _, span in words), dtype=np.int64).reshape(-1, 2)
        bounds = np.concatenate([[0], np.cumsum(counts[kept])])
        yield _Words(np.array(encoding.ids, dtype=np.int32), bounds, places[kept])


def _windows(bounds: Places, reading: WordReading, room: int) -> Iterator[tuple[int, int]]:
    """Words from and to, at most `max_words` of at most `room` tokens, or one word; every word is in one."""
    first, end, count = 0, 0, len(bounds) - 1
    while end < count:
        fits = int(np.searchsorted(bounds, bounds[first] + room, side="right")) - 1
        end = min(max(fits, first + 1), first + reading.max_words, count)
        yield first, end
        size = end - first
        first = max(first + 1, end - min(max(reading.max_width, size // OVERLAP), size // 2))
