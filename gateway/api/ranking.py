"""Replies of rerank: one superset that fifteen clients read, and TEI's bare list."""

from collections.abc import Sequence

import msgspec
from msgspec import UNSET

from gateway.api.answers import Answer
from gateway.api.inference import truncation_header
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
)
from gateway.engine_client import RerankReply

SEARCH_UNIT = 100
"""Documents that one of Cohere's billing units covers."""
ENCODE = msgspec.json.Encoder().encode


def render_ranking(
    reply: RerankReply, best: Sequence[int], documents: Sequence[str], body: RerankBody, *, name: str, request_id: str
) -> Answer:
    """The superset: `data` repeats `results` for Voyage's client, which alone sends `top_k` and `truncation`."""
    results = [
        RankedDocument(index, reply.scores[index], DocumentText(documents[index]) if body.return_documents else UNSET)
        for index in best
    ]
    from_voyage = body.top_k is not None or body.truncation is not None
    ranking = Ranking(
        id=request_id,
        model=name,
        results=results,
        usage=Usage(reply.tokens, reply.tokens),
        meta=RerankMeta(ApiVersion("2"), BilledUnits(-(-len(documents) // SEARCH_UNIT)), InputTokens(reply.tokens)),
        data=results if from_voyage else UNSET,
        truncated=reply.truncated or UNSET,
    )
    return Answer(ENCODE(ranking), headers=truncation_header(reply.truncated))


def render_tei(reply: RerankReply, best: Sequence[int], texts: Sequence[str] | None) -> Answer:
    """TEI's list; with `texts` each score bears its text."""
    ranks = [TeiRank(index, reply.scores[index], texts[index] if texts is not None else UNSET) for index in best]
    return Answer(ENCODE(ranks), headers=truncation_header(reply.truncated))
