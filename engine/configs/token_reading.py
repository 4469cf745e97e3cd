"""How a model with a vector for every token reads queries and documents (ColBERT, Khattab & Zaharia 2020); no torch.

A marker after the first special token says what a text is. Queries are expanded by mask tokens, which have vectors of
their own. Some tokens of documents, punctuation as a rule, have none.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """Of queries, to a length in tokens."""

    token: str
    length: int
    attended: bool = False
    """The other tokens see the expansion."""
    fixed: bool = True
    """Longer queries are cut to the length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenReading:
    """What is done to the texts of a model that gives many vectors."""

    query_prefix: str = ""
    """One token where the tokenizer has it, whole or up to its first space; else plain text."""
    document_prefix: str = ""
    query_length: int | None = None
    """Cuts queries, special tokens included; None: the model's own limit does."""
    document_length: int | None = None
    expansion: Expansion | None = None
    skipped: tuple[str, ...] = ()
    """Tokens that have no vector."""
    skips_in: tuple[str, ...] = ("document",)
    """What kinds of texts skip them."""
    skips_first: bool = False
    """Nor has the first token of any text."""
    mean: bool = False
    """Scores are divided by the number of the query's vectors."""
