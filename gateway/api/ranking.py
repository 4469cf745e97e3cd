"""Replies of rerank: one superset that fifteen clients read, TEI's bare list, and what Weaviate's own reranker says."""

from collections.abc import Callable, Sequence

import msgspec
from msgspec import UNSET

from gateway.api.answers import Answer
from gateway.api.inference import tei_headers, truncation_header
from gateway.api.schemas import (
    ApiVersion,
    BilledUnits,
    DocumentText,
    InputTokens,
    RankedDocument,
    Ranking,
    RerankBody,
    RerankMeta,
    TeiRank,
    Usage,
    WeaviateRanking,
    WeaviateScore,
)
from gateway.engine_client import RerankReply

SEARCH_UNIT = 100
"""Documents that one of Cohere's billing units covers."""
ENCODE = msgspec.json.Encoder().encode


def render_ranking(
    reply: RerankReply,
    best: Sequence[int],
    documents: Sequence[str],
    body: RerankBody,
    *,
    show: Callable[[str], DocumentText | str] | None,
    name: str,
    request_id: str,
) -> Answer:
    """The superset, each document in the way that `show` makes of its text.

    `data` repeats `results` for Voyage's clients; a request with `top_n` is of none of them.
    """
    results = [
        RankedDocument(index, reply.scores[index], show(documents[index]) if show is not None else UNSET)
        for index in best
    ]
    ranking = Ranking(
        id=request_id,
        model=name,
        results=results,
        usage=Usage(reply.tokens, reply.tokens),
        meta=RerankMeta(ApiVersion("2"), BilledUnits(-(-len(documents) // SEARCH_UNIT)), InputTokens(reply.tokens)),
        data=results if body.top_n is None else UNSET,
        truncated=reply.truncated or UNSET,
    )
    return Answer(ENCODE(ranking), headers=truncation_header(reply.truncated))


def render_tei(reply: RerankReply, best: Sequence[int], texts: Sequence[str] | None) -> Answer:
    """TEI's list; with `texts` each score bears its text."""
    ranks = [TeiRank(index, reply.scores[index], texts[index] if texts is not None else UNSET) for index in best]
    return Answer(ENCODE(ranks), headers=tei_headers(reply))


def render_weaviate(reply: RerankReply, best: Sequence[int], query: str, documents: Sequence[str]) -> Answer:
    """Weaviate's list; it finds its documents by their text."""
    ranking = WeaviateRanking(query, [WeaviateScore(documents[index], reply.scores[index]) for index in best])
    return Answer(ENCODE(ranking), headers=truncation_header(reply.truncated))
