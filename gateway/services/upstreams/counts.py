"""Tokens of an upstream's reply, by input; and a count of our own where it gives none."""

from collections.abc import Sequence
from itertools import accumulate

from gateway.engine_client import EmbedReply, RerankReply
from policies.estimate import utf8_bytes

BYTES_PER_TOKEN = 4
"""Of text, as tokenizers of many languages come out; only where an upstream does not say what it used."""


class GuessedEmbedReply(EmbedReply, frozen=True):
    """One whose counts are ours."""


class GuessedRerankReply(RerankReply, frozen=True):
    """One whose count is ours."""


GUESSED = (GuessedEmbedReply, GuessedRerankReply)


def spread(total: int, texts: Sequence[str]) -> list[int]:
    """A total over the texts that it was counted for, by their length; the parts sum to it."""
    lengths = [1 + utf8_bytes(text) for text in texts]
    whole = sum(lengths)
    ends = [total * reached // whole for reached in accumulate(lengths)]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


def guessed(texts: Sequence[str]) -> int:
    """About so many tokens."""
    return sum(1 + -(-utf8_bytes(text) // BYTES_PER_TOKEN) for text in texts)
