"""What a request may cost at most, by what the register knows of its model; the dearer way where it knows nothing."""

from collections.abc import Sequence

from gateway.services.snapshot.entries import ModelEntry
from policies.estimate import (
    TokenEstimate,
    all_labels_bound,
    each_label_bound,
    pairs_bound,
    texts_bound,
    utf8_bytes,
    windows_bound,
)

HYPOTHESIS = "This example is {}."
"""What a model of inference reads with a label where the request says nothing."""


def input_limit(model: ModelEntry) -> int | None:
    """Tokens that one input may have; None if nobody knows yet."""
    limits = [limit for limit in (model.max_tokens, model.input_limit) if limit is not None]
    return min(limits, default=None)


def embed_cost(model: ModelEntry, texts: Sequence[str]) -> TokenEstimate:
    """Every text once."""
    return texts_bound(texts, input_limit(model), model.facts.added_tokens)


def rerank_cost(model: ModelEntry, query: str, documents: Sequence[str], instruction: str | None) -> TokenEstimate:
    """The query with every document where the model scores pairs; else the query once, and every document."""
    limit, added, outputs = input_limit(model), model.facts.added_tokens, model.facts.outputs
    apart = texts_bound([query, *documents], limit, added)
    if outputs and "scores" not in outputs:
        return apart
    said = utf8_bytes(instruction or "")
    together = pairs_bound(((query, document) for document in documents), limit, added + said)
    return together if outputs else max(apart, together)


def classify_cost(
    model: ModelEntry, inputs: Sequence[str | tuple[str, str]], labels: Sequence[str] | None, template: str | None
) -> TokenEstimate:
    """Every input once with the model's own labels; else once for each label, or with all of them."""
    limit, added, outputs = input_limit(model), model.facts.added_tokens, model.facts.outputs
    if labels is None:
        return pairs_bound(((item, "") if isinstance(item, str) else item for item in inputs), limit, added)
    texts = [item if isinstance(item, str) else "".join(item) for item in inputs]
    if "classes" in outputs:
        return all_labels_bound(texts, labels, limit, added)
    by_label = each_label_bound(texts, labels, limit, added + utf8_bytes(template or HYPOTHESIS))
    return by_label if outputs else max(by_label, all_labels_bound(texts, labels, limit, added))


def extract_cost(model: ModelEntry, texts: Sequence[str], labels: Sequence[str] | None) -> TokenEstimate:
    """Every text once where the model labels tokens; else all of it in windows, with all labels in each."""
    limit, facts = input_limit(model), model.facts
    if "token_scores" in facts.outputs:
        return texts_bound(texts, limit, facts.added_tokens)
    return windows_bound(texts, labels or (), limit, facts.added_tokens)
