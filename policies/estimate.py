"""What a request may cost before anybody has tokenized it: an upper bound, reserved first and refunded to the truth.

The bytes of a text in UTF-8 bound its tokens, for WordPiece with BERT's normalizer (every code point becomes at most as
many characters as it has bytes, and every piece holds a character) and for byte-level BPE (every piece holds a byte).
Not for tokenizers that normalize by NFKC (SentencePiece): U+FDFA grows from 3 bytes to 18 characters, and they may put
a piece in front. There the difference is charged when the reservation is settled.

Everywhere `limit` is what the model cuts an input to, None where nobody knows; `added` is what it reads with each input
beside the input's own and the special tokens: of prompts and templates.
"""

from collections.abc import Collection, Iterable
from typing import NewType

TokenEstimate = NewType("TokenEstimate", int)
"""Tokens at most. A type of its own, since usage must never be an estimate."""

SPECIAL_TOKENS = 2
"""What a tokenizer adds around one text: [CLS] and [SEP]."""
PAIR_TOKENS = 4
"""What it adds around two, at most: `<s> … </s></s> … </s>`."""
LABEL_TOKENS = 2
"""What a model puts around a label that it reads with a text."""
WINDOW_STEP = 96
"""Bytes of a text for which one more window is reckoned."""


def texts_bound(texts: Iterable[str], limit: int | None, added: int = 0) -> TokenEstimate:
    """Each text by itself."""
    around = SPECIAL_TOKENS + added
    if limit is None:
        return TokenEstimate(sum(utf8_bytes(text) + around for text in texts))
    bound = 0
    for text in texts:
        # A character is a byte at least, so that a long text need not be encoded to see that it will be cut.
        if len(text) + around >= limit:
            bound += limit
        else:
            bound += min(utf8_bytes(text) + around, limit)
    return TokenEstimate(bound)


def pairs_bound(pairs: Iterable[tuple[str, str]], limit: int | None, added: int = 0) -> TokenEstimate:
    """Each pair as one input. One text against many is read again with each."""
    # A text and its partner are as long as both in one, and a few special tokens more.
    return texts_bound((first + second for first, second in pairs), limit, added + PAIR_TOKENS - SPECIAL_TOKENS)


def each_label_bound(texts: Collection[str], labels: Collection[str], limit: int | None, added: int) -> TokenEstimate:
    """Each text once for every label, as one input of both; `added` is the rest of the hypothesis."""
    around = PAIR_TOKENS + added
    said = sum(map(utf8_bytes, labels))
    whole = sum(len(labels) * (utf8_bytes(text) + around) + said for text in texts)
    return TokenEstimate(whole if limit is None else min(whole, len(texts) * len(labels) * limit))


def all_labels_bound(texts: Iterable[str], labels: Iterable[str], limit: int | None, added: int) -> TokenEstimate:
    """Each text once, as one input with all labels, of which no more than the text is cut."""
    return texts_bound(texts, limit, added + labels_bound(labels))


def windows_bound(texts: Iterable[str], labels: Iterable[str], limit: int | None, added: int) -> TokenEstimate:
    """Each text in windows, with all labels in each; where labels take more than half an input, in groups of them.

    Windows overlap by half at most. They are bounded by steps of 96 tokens, which is little for a model that reads 384
    words at once: a text that it reads in one window is taken for several.
    """
    said, around = labels_bound(labels), SPECIAL_TOKENS + LABEL_TOKENS + added
    groups = 1 if limit is None else 1 + 4 * said // limit
    bound = 0
    for text in texts:
        length = utf8_bytes(text)
        windows = 1 + length // WINDOW_STEP
        bound += groups * (length * min(windows, 2) + windows * around) + windows * said
    return TokenEstimate(bound)


def labels_bound(labels: Iterable[str]) -> int:
    """Labels and their markers, where a model reads them one after the other."""
    return sum(utf8_bytes(label) + LABEL_TOKENS for label in labels)


def utf8_bytes(text: str) -> int:
    """How long a text is in UTF-8; a lone surrogate counts like any other character of its size."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
