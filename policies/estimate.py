"""What a request may cost before anybody has tokenized it: an upper bound, reserved first and refunded to the truth."""

from collections.abc import Iterable
from typing import NewType

TokenEstimate = NewType("TokenEstimate", int)
"""Tokens at most. A type of its own, since usage must never be an estimate."""

SPECIAL_TOKENS = 2
"""What a tokenizer adds around one text: [CLS] and [SEP]."""


def tokens_upper_bound(texts: Iterable[str], max_tokens: int | None) -> TokenEstimate:
    """The sum over the texts of UTF-8 bytes + 2 special tokens, each cut at the model's `max_tokens`.

    A bound for WordPiece with BERT's normalizer (every code point becomes at most as many characters as it has bytes,
    and every piece holds a character) and for byte-level BPE (every piece holds a byte). Not for tokenizers that
    normalize by NFKC (SentencePiece): U+FDFA grows from 3 bytes to 18 characters, and they may put a piece in front.
    There the difference is charged when the reservation is settled. A prompt that the model puts before a text counts
    only if the texts hold it.
    """
    if max_tokens is None:
        return TokenEstimate(sum(_utf8_bytes(text) + SPECIAL_TOKENS for text in texts))
    bound = 0
    for text in texts:
        # A character is a byte at least, so that a long text need not be encoded to see that it will be cut.
        if len(text) + SPECIAL_TOKENS >= max_tokens:
            bound += max_tokens
        else:
            bound += min(_utf8_bytes(text) + SPECIAL_TOKENS, max_tokens)
    return TokenEstimate(bound)


def _utf8_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
