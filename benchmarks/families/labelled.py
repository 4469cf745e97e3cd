"""Texts with labels as models read them, of random words."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import tokenizers

from benchmarks.families.case import VOCABULARY
from engine.catalog import describe
from engine.encoded import Encoded
from engine.prompts.labels import read_labelled
from engine.prompts.words import read_words
from engine.tokenizer import Tokenized

LABELS = ("w11", "w12 w13", "w14-w15", "w16")
ALL = -1.0
"""A threshold that nothing is below."""


def words(folder: Path, lengths: Sequence[int], seed: int) -> list[Encoded]:
    """For models that find spans, with one to four labels; some words have several tokens."""
    reading = describe(folder).heads[0].settings["reading"]
    return _read(
        folder,
        lengths,
        seed,
        lambda labels: partial(read_words, thresholds=np.full(len(labels), ALL, dtype=np.float32), reading=reading),
    )


def texts(folder: Path, lengths: Sequence[int], seed: int) -> list[Encoded]:
    """For models that classify, with one to four labels."""
    reading = describe(folder).heads[0].settings["reading"]
    return _read(folder, lengths, seed, lambda labels: partial(read_labelled, reading=reading))  # noqa: ARG005


def _read(
    folder: Path, lengths: Sequence[int], seed: int, job: Callable[[Sequence[str]], Callable[..., Tokenized]]
) -> list[Encoded]:
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    limit = describe(folder).max_tokens
    generator = np.random.default_rng(seed)
    encoded = []
    for place, length in enumerate(lengths):
        labels = LABELS[: 1 + place % len(LABELS)]
        numbers = generator.integers(5, VOCABULARY, (length, 2)).tolist()
        text = " ".join(f"w{one}-w{two}" if one % 3 == 0 else f"w{one}" for one, two in numbers)
        read = job(labels)(tokenizer, texts=[text], labels=labels, limit=limit, truncate=True)
        encoded.extend(read.encoded)
    return encoded
