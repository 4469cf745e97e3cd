"""`POST /v1/rerank` and its kin: score documents against a query, for every client's idea of a reranker."""

from typing import Any

import msgspec
from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from litestar.types import Receive

from gateway.api.admission import admitted
from gateway.api.answers import Answer
from gateway.api.bodies import decode_body, invalid, may_truncate, missing, read_body, too_many
from gateway.api.model_choice import choose_model, input_limit, key_of
from gateway.api.ranking import render_ranking, render_tei
from gateway.api.schemas import RerankBody
from gateway.api.urgency import choose_lane, time_left
from gateway.call import Call, call_of
from gateway.engine_client import RerankRequest, model_ref
from gateway.services.opened import Services
from policies.estimate import tokens_upper_bound

PATHS = ["/v1/rerank", "/v2/rerank", "/rerank", "/v1/v2/rerank", "/v1/v1/rerank", "/v2/v2/rerank"]
DECODE = msgspec.json.Decoder(RerankBody).decode
ENCODE = msgspec.json.Encoder().encode


def rerank_route(services: Services) -> HTTPRouteHandler:
    """The route, serving from these services."""

    @post(PATHS, status_code=200, opt={"endpoint": PATHS[0], "scope": "rerank"})
    async def create_ranking(request: Request[Any, Any, Any]) -> Answer:
        return await rerank(services, call_of(request.scope), request.receive)

    return create_ranking


async def rerank(services: Services, call: Call, receive: Receive) -> Answer:
    """Rank what the body holds; `texts` instead of `documents` makes it TEI's wire, errors included."""
    body = decode_body(DECODE, await read_body(receive, call, services.settings.max_body_bytes))
    call.plain_errors = body.texts is not None
    model, name = choose_model(call, body.model or services.settings.default_model)
    query, documents = query_and_documents(body, services.settings.max_inputs)
    call.inputs = len(documents)
    request = RerankRequest(
        model_ref(model),
        query,
        documents,
        truncate=may_truncate(body.truncate, body.truncation),
        flow=key_of(call).tenant.id,
        weight=key_of(call).tenant.weight,
        lane=choose_lane(call),
    )
    estimate = tokens_upper_bound([query, *documents], input_limit(model))
    async with admitted(services, call, receive, model, name, tokens=estimate) as reservation:
        work = services.nodes.run(
            model.pool,
            model.id,
            lambda node, seconds: services.engines.rerank(node, request, seconds),
            patience=time_left(call),
        )
        reply = await call.waiting_for(work)
        reservation.used = reply.tokens
    best = sorted(range(len(documents)), key=lambda index: -reply.scores[index])[: body.top_n or body.top_k or None]
    if body.texts is not None:
        return render_tei(reply, best, documents if body.return_text else None)
    return render_ranking(reply, best, documents, body, name=name, request_id=call.id)


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
    text = document.get("text")
    if isinstance(text, str) and not rank_fields:
        return text
    fields = {name: document[name] for name in rank_fields if name in document} if rank_fields else document
    return "\n".join(f"{name}: {value if isinstance(value, str) else _json(value)}" for name, value in fields.items())


def _json(value: Any) -> str:
    return ENCODE(value).decode()
