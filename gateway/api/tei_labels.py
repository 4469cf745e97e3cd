"""`POST /predict`: how well a model's own labels fit texts, as text-embeddings-inference says it."""

from collections.abc import Sequence

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.types import Receive

from gateway.api.answers import Answer
from gateway.api.bodies import decode_body, invalid, may_truncate, missing, read_body, too_many
from gateway.api.costs import classify_cost
from gateway.api.inference import ask, inference_route, tei_headers
from gateway.api.model_choice import choose_model
from gateway.api.paths import TEI_PREDICT
from gateway.api.tei_schemas import TeiPredictBody, TeiPrediction
from gateway.call import Call
from gateway.engine_client import ClassifyRequest, LabelScore, model_ref
from gateway.services.opened import Services
from gateway.services.pools.node import to_classify

DECODE = msgspec.json.Decoder(TeiPredictBody).decode
ENCODE = msgspec.json.Encoder().encode

Sequenced = str | tuple[str, str]


def predict_route(services: Services) -> HTTPRouteHandler:
    """The route, serving from these services."""
    return inference_route(services, TEI_PREDICT, predict, scope="classify")


async def predict(services: Services, call: Call, receive: Receive) -> Answer:
    """Label what the body holds; one input that came in no list gets an answer in none."""
    body = decode_body(DECODE, await read_body(receive, call, services.settings.max_body_bytes))
    chosen = choose_model(call, body.model or services.settings.default_model)
    sequences, alone = sequences_of(body.inputs, services.settings.max_inputs)
    call.inputs = len(sequences)
    request = ClassifyRequest(
        model_ref(chosen.model),
        sequences,
        raw_scores=bool(body.raw_scores),
        truncate=may_truncate(body.truncate),
    )
    cost = classify_cost(chosen.model, sequences, None, None)
    (reply,) = await ask(services, call, receive, chosen, to_classify, request, tokens=cost)
    predictions = list(map(_predictions, reply.labels))
    return Answer(ENCODE(predictions[0] if alone else predictions), headers=tei_headers(reply))


def sequences_of(
    source: str | Sequence[str | list[str]] | None, max_inputs: int | None
) -> tuple[list[Sequenced], bool]:
    """What is to be labelled, and whether it is one sequence by itself: two texts in one list are a pair."""
    if source is None:
        raise missing("inputs")
    texts = [source] if isinstance(source, str) else [item for item in source if isinstance(item, str)]
    if texts:
        if not isinstance(source, str) and len(texts) < len(source):
            raise invalid("$.inputs", "Its items are of different kinds.")
        return [_sequence(texts, "$.inputs")], True
    if max_inputs is not None and len(source) > max_inputs:
        raise too_many("inputs", max_inputs, len(source))
    if not source:
        raise invalid("$.inputs", "The list is empty.")
    return [_sequence(item, f"$.inputs[{index}]") for index, item in enumerate(source)], False


def _sequence(texts: str | Sequence[str], path: str) -> Sequenced:
    match texts:
        case [text]:
            return text
        case [first, second]:
            return first, second
        case _:
            raise invalid(path, "It is a text alone, or a pair of texts.")


def _predictions(fits: Sequence[LabelScore]) -> list[TeiPrediction]:
    return [TeiPrediction(fit.score, fit.label) for fit in fits]
