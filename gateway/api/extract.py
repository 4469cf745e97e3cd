"""`POST /v1/extract`: the spans of texts that labels fit."""

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.types import Receive
from msgspec import UNSET

from gateway.api.answers import Answer
from gateway.api.bodies import decode_body, may_truncate, read_body
from gateway.api.costs import extract_cost
from gateway.api.inference import ask, inference_route, tokens_of, truncation_header
from gateway.api.label_schemas import ExtractBody, Extraction, Extractions, FoundEntity
from gateway.api.model_choice import choose_model
from gateway.api.paths import EXTRACT
from gateway.api.schemas import Usage
from gateway.api.texts import checked_labels, texts_of
from gateway.call import Call
from gateway.engine_client import ExtractReply, ExtractRequest, model_ref
from gateway.services.opened import Services
from gateway.services.pools.node import to_extract

DECODE = msgspec.json.Decoder(ExtractBody).decode
ENCODE = msgspec.json.Encoder().encode


def extract_route(services: Services) -> HTTPRouteHandler:
    """The route, serving from these services."""
    return inference_route(services, EXTRACT, extract, scope="extract")


async def extract(services: Services, call: Call, receive: Receive) -> Answer:
    """Find what the body asks for."""
    body = decode_body(DECODE, await read_body(receive, call, services.settings.max_body_bytes))
    chosen = choose_model(call, body.model or services.settings.default_model)
    texts = await texts_of(body.input, services.settings.max_inputs)
    labels = checked_labels(body.labels)
    call.inputs = len(texts)
    request = ExtractRequest(
        model_ref(chosen.model),
        texts,
        labels=labels,
        threshold=body.threshold,
        thresholds=body.thresholds,
        flat=body.flat is not False,
        multi_label=bool(body.multi_label),
        aggregation=body.aggregation or "simple",
        truncate=may_truncate(body.truncate, body.truncation),
    )
    cost = extract_cost(chosen.model, texts, labels)
    (reply,) = await ask(services, call, receive, chosen, to_extract, request, tokens=cost)
    return render(reply, name=chosen.name, request_id=call.id)


def render(reply: ExtractReply, *, name: str, request_id: str) -> Answer:
    """Each input's entities."""
    tokens = tokens_of(reply)
    extractions = Extractions(
        id=request_id,
        model=name,
        data=[
            Extraction(index, [FoundEntity(one.start, one.end, one.text, one.label, one.score) for one in entities])
            for index, entities in enumerate(reply.entities)
        ],
        usage=Usage(tokens, tokens),
        truncated=reply.truncated or UNSET,
    )
    return Answer(ENCODE(extractions), headers=truncation_header(reply.truncated))
