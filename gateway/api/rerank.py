"""`POST /v1/rerank` and its kin: score documents against a query, for every client's idea of a reranker."""

from functools import partial
from typing import Any

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.types import Receive

from gateway.api.answers import Answer
from gateway.api.bodies import decode_body, invalid, may_truncate, missing, peek, read_body, too_many
from gateway.api.costs import rerank_cost
from gateway.api.inference import ask, inference_route
from gateway.api.model_choice import choose_model
from gateway.api.paths import INFINITY_RERANK, RERANK
from gateway.api.ranking import render_ranking, render_tei, render_weaviate
from gateway.api.schemas import DocumentText, RerankBody
from gateway.call import Call
from gateway.engine_client import RerankRequest, model_ref
from gateway.errors import RequestError
from gateway.services.opened import Services
from gateway.services.pools.node import to_rerank

DECODE = msgspec.json.Decoder(RerankBody).decode
ENCODE = msgspec.json.Encoder().encode


def rerank_routes(services: Services) -> list[HTTPRouteHandler]:
    """The routes, serving from these services."""
    return [
        inference_route(services, RERANK, rerank, scope="rerank"),
        inference_route(services, INFINITY_RERANK, partial(rerank, as_objects=False), scope="rerank"),
    ]


async def rerank(services: Services, call: Call, receive: Receive, *, as_objects: bool = True) -> Answer:
    """Rank what the body holds; documents come back as objects with a `text`, or as the texts themselves.

    `texts` instead of `documents` makes it TEI's wire, and `property` Weaviate's, errors included.
    """
    body = decode_ranking(call, await read_body(receive, call, services.settings.max_body_bytes))
    chosen = choose_model(call, body.model or services.settings.default_model)
    query, documents = query_and_documents(body, services.settings.max_inputs)
    call.inputs = len(documents)
    request = RerankRequest(
        model_ref(chosen.model),
        query,
        documents,
        instruction=body.instruction,
        truncate=may_truncate(body.truncate, body.truncation),
    )
    cost = rerank_cost(chosen.model, query, documents, body.instruction)
    (reply,) = await ask(services, call, receive, chosen, to_rerank, request, tokens=cost)
    best = sorted(range(len(documents)), key=lambda index: -reply.scores[index])[: body.top_n or body.top_k or None]
    if body.texts is not None:
        return render_tei(reply, best, documents if body.return_text else None)
    if body.property is not None:
        return render_weaviate(reply, best, query, documents)
    shown = (DocumentText if as_objects else str) if body.return_documents else None
    return render_ranking(reply, best, documents, body, show=shown, name=chosen.name, request_id=call.id)


class Dialect(msgspec.Struct):
    """What tells wires apart whose errors are plain texts."""

    texts: Any = None
    property: Any = None


DECODE_DIALECT = msgspec.json.Decoder(Dialect).decode


def decode_ranking(call: Call, body: bytes) -> RerankBody:
    """The body. Notes on the call in whose shape errors are to be, those of the body itself included."""
    try:
        decoded = decode_body(DECODE, body)
    except RequestError:
        call.plain_errors = is_plain(peek(DECODE_DIALECT, body))
        raise
    call.plain_errors = is_plain(decoded)
    return decoded


def is_plain(body: RerankBody | Dialect | None) -> bool:
    """Whether its wire is one of those."""
    return body is not None and (body.texts is not None or body.property is not None)


def query_and_documents(body: RerankBody, max_inputs: int | None) -> tuple[str, list[str]]:
    """What is to be scored, as texts."""
    if body.query is None:
        raise missing("query")
    documents = body.texts if body.texts is not None else body.documents
    field = "documents" if body.texts is None else "texts"
    if documents is None:
        raise missing(field)
    if not documents:
        raise invalid(f"$.{field}", "The list is empty.")
    if max_inputs is not None and len(documents) > max_inputs:
        raise too_many(field, max_inputs, len(documents))
    return body.query, [item if isinstance(item, str) else text_of(item, body.rank_fields) for item in documents]


def text_of(document: dict[str, Any], rank_fields: list[str] | None) -> str:
    """An object as text: its `text`, or the fields asked for (else all), a line each, as Cohere does."""
    if document.keys() == {"image"}:
        raise RequestError("Only texts can be ranked here, no images.", param="documents")
    text = document.get("text")
    if isinstance(text, str) and not rank_fields:
        return text
    fields = {name: document[name] for name in rank_fields if name in document} if rank_fields else document
    return "\n".join(f"{name}: {value if isinstance(value, str) else _json(value)}" for name, value in fields.items())


def _json(value: Any) -> str:
    return ENCODE(value).decode()
