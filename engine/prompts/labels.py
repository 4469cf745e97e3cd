"""Texts as models read them that classify by any labels (GLiClass): labels and text as one string.

`marker label marker label … separator text`, or the text first. Only the text is ever cut: the reference cuts the end
of the string, which takes labels away where the text comes first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import tokenizers
from numpy.typing import NDArray

from engine.configs.label_reading import LabelReading
from engine.encoded import Encoded
from engine.errors import InputTooLong, LabelsTooLong
from engine.tokenizer import CHARACTERS_PER_TOKEN, Tokenized, not_unicode

OUTPUTS = ("classes",)
Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class ClassMarks:
    """What a head must know of a sequence."""

    labels: Places
    """(C,): the token of each label's marker."""
    separator: int
    """The place of the token between labels and text, or after the labels."""


def read_labelled(
    tokenizer: tokenizers.Tokenizer,
    *,
    texts: Sequence[str],
    labels: Sequence[str],
    reading: LabelReading,
    limit: int,
    truncate: bool,
) -> Tokenized:
    """Each text with all labels. A job for the tokenizer's thread. Raises LabelsTooLong where a text has no room."""
    if (fault := not_unicode(texts)) is not None:
        raise fault
    if (fault := not_unicode(labels)) is not None:
        fault.index = None
        raise fault
    tokenizer.no_truncation()
    encoded, truncated = [], []
    for index, text in enumerate(texts):
        sequence, length = _read(tokenizer, text, labels, reading, limit)
        if length > limit:
            truncated.append(index)
            if not truncate:
                raise InputTooLong(index=index, limit=limit, actual=length)
        encoded.append(sequence)
    return Tokenized(encoded, truncated)


def _read(
    tokenizer: tokenizers.Tokenizer, text: str, labels: Sequence[str], reading: LabelReading, limit: int
) -> tuple[Encoded, int]:
    """A text with the labels, cut to the limit; and how many tokens it had, of a very long text its beginning."""
    prompt = "".join(reading.marker + label for label in labels) + reading.separator
    most = limit * CHARACTERS_PER_TOKEN
    head = text[:most]
    encoding = _encode(tokenizer, head, prompt, reading)
    # Twice the limit is far enough from the cut that the tokens kept are those of the whole text.
    if len(text) > most and len(encoding) < 2 * limit:
        head = text
        encoding = _encode(tokenizer, head, prompt, reading)
    ids = np.array(encoding.ids, dtype=np.int32)
    sizes = [len(reading.marker) + len(label) for label in labels]
    begins = list(accumulate(sizes, initial=0 if reading.prompt_first else len(head)))
    ends = np.array([end for _, end in encoding.offsets])
    marker, separator = (tokenizer.token_to_id(token) for token in (reading.marker, reading.separator))
    markers = _at(begins[:-1], np.flatnonzero(ids == marker), ends)
    after = int(_at(begins[-1:], np.flatnonzero(ids == separator), ends)[0])
    inner = np.flatnonzero(np.array(encoding.special_tokens_mask) == 0)
    room = (after + 1, int(inner[-1]) + 1) if reading.prompt_first else (int(inner[0]), int(markers[0]))
    excess = len(ids) - limit
    if excess > 0:
        if excess >= room[1] - room[0]:
            raise LabelsTooLong(limit=limit, actual=len(ids) - (room[1] - room[0]))
        ids = np.delete(ids, np.s_[room[1] - excess : room[1]])
        if not reading.prompt_first:
            markers, after = markers - excess, after - excess
    return Encoded(ids, outputs=OUTPUTS, marks=ClassMarks(markers, after)), len(encoding)


def _encode(tokenizer: tokenizers.Tokenizer, text: str, prompt: str, reading: LabelReading) -> tokenizers.Encoding:
    return tokenizer.encode(prompt + text if reading.prompt_first else text + prompt)


def _at(begins: Sequence[int], tokens: Places, ends: Places) -> Places:
    """Of some tokens those that stand where they are looked for; a text may hold others of their kind."""
    return tokens[np.searchsorted(ends[tokens], begins, side="right")]
