"""How models read labels beside a text (GLiClass, GLiNER), as their folders say it; free of torch and tokenizers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelReading:
    """How a model reads labels and a text."""

    marker: str = "<<LABEL>>"
    separator: str = "<<SEP>>"
    prompt_first: bool
    """The labels come before the text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WordReading:
    """How a model reads labels and words."""

    marker: str
    """One token, before every label."""
    separator: str
    """Between labels and text."""
    marked: bool
    """The marker speaks for its label; otherwise the token after it."""
    max_words: int
    """Of a text in one pass."""
    max_width: int
    """Words of a span."""
