"""`POST /v1/embeddings`: the story of a request, told once, top to bottom."""

import asyncio
from typing import Any

import msgspec
from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from litestar.types import Receive
from msgspec import UNSET

from gateway.api import cl100k
from gateway.api.admission import admitted
from gateway.api.answers import Answer
from gateway.api.bodies import decode_body, invalid, may_truncate, missing, read_body, too_many
from gateway.api.model_choice import choose_model, input_limit, key_of
from gateway.api.schemas import Embedding, Embeddings, EmbeddingsBody, Usage
from gateway.api.urgency import choose_lane, time_left
from gateway.call import Call, call_of
from gateway.engine_client import EmbedReply, EmbedRequest, model_ref
from gateway.services.opened import Services
from policies.estimate import tokens_upper_bound

PATHS = ["/v1/embeddings", "/embeddings", "/v1/v1/embeddings"]
DECODE = msgspec.json.Decoder(EmbeddingsBody).decode
ENCODE = msgspec.json.Encoder().encode


def embeddings_route(services: Services) -> HTTPRouteHandler:
    """The route, serving from these services."""

    @post(PATHS, status_code=200, opt={"endpoint": PATHS[0], "scope": "embeddings"})
    async def create_embeddings(request: Request[Any, Any, Any]) -> Answer:
        return await embed(services, call_of(request.scope), request.receive)

    return create_embeddings


async def embed(services: Services, call: Call, receive: Receive) -> Answer:
    """Embed what the body asks for. The caller is known by now (gateway/auth.py)."""
    body = decode_body(DECODE, await read_body(receive, call, services.settings.max_body_bytes))
    model, name = choose_model(call, body.model or services.settings.default_model)
    texts = await texts_of(body.input, services.settings.max_inputs)
    call.inputs = len(texts)
    request = EmbedRequest(
        model_ref(model),
        texts,
        dimensions=body.dimensions,
        truncate=may_truncate(body.truncate, body.truncation),
        flow=key_of(call).tenant.id,
        weight=key_of(call).tenant.weight,
        lane=choose_lane(call),
    )
    estimate = tokens_upper_bound(texts, input_limit(model))
    async with admitted(services, call, receive, model, name, tokens=estimate) as reservation:
        work = services.nodes.run(
            model.pool,
            model.id,
            lambda node, seconds: services.engines.embed(node, request, seconds),
            patience=time_left(call),
        )
        reply = await call.waiting_for(work)
        reservation.used = sum(reply.token_counts)
    return render(reply, name, as_base64=body.encoding_format == "base64")


async def texts_of(source: str | list[Any] | None, max_inputs: int | None) -> list[str]:
    """The inputs as texts. Token arrays are decoded; a flat list of numbers is one of them, not many."""
    if source is None:
        raise missing("input")
    if isinstance(source, str):
        return [source]
    if not source:
        raise invalid("$.input", "The list is empty.")
    kind = type(source[0])
    if any(type(item) is not kind for item in source):
        raise invalid("$.input", "Its items are of different kinds.")
    if kind is int:
        return [await asyncio.to_thread(cl100k.decode, source)]
    if max_inputs is not None and len(source) > max_inputs:
        raise too_many("input", max_inputs, len(source))
    return source if kind is str else await asyncio.to_thread(_decode_each, source)


def render(reply: EmbedReply, name: str, *, as_base64: bool) -> Answer:
    """The reply's bytes. Vectors go from the node's float32 to base64 or to JSON numbers without loss."""
    width = reply.dimensions
    rows: Any
    if as_base64:
        packed, size = memoryview(reply.vectors), 4 * width
        rows = [packed[start : start + size] for start in range(0, len(packed), size)]
    else:
        numbers = memoryview(reply.vectors).cast("f").tolist()
        rows = [numbers[start : start + width] for start in range(0, len(numbers), width)]
    tokens = sum(reply.token_counts)
    body = ENCODE(
        Embeddings(
            [Embedding(index, row) for index, row in enumerate(rows)],
            name,
            Usage(tokens, tokens),
            reply.truncated or UNSET,
        )
    )
    return Answer(body, headers={"x-shoal-truncated": str(len(reply.truncated))} if reply.truncated else None)


def _decode_each(arrays: list[list[int]]) -> list[str]:
    return [cl100k.decode(ids, index=index) for index, ids in enumerate(arrays)]
