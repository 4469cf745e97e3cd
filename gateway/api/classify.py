"""`POST /v1/classify`: how well labels fit texts, in the words of vLLM, Jina and Cohere."""

import time
from collections.abc import Sequence
from typing import Any

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.types import Receive
from msgspec import UNSET

from gateway.api.answers import Answer
from gateway.api.bodies import decode_body, invalid, may_truncate, missing, read_body, too_many
from gateway.api.costs import classify_cost
from gateway.api.inference import ask, inference_route, tokens_of, truncation_header
from gateway.api.label_schemas import (
    Classification,
    Classifications,
    ClassifyBody,
    CohereClassification,
    LabelConfidence,
    LabelFit,
)
from gateway.api.model_choice import choose_model
from gateway.api.paths import CLASSIFY
from gateway.api.schemas import TextObject, Usage
from gateway.api.texts import checked_labels
from gateway.call import Call
from gateway.engine_client import ClassifyReply, ClassifyRequest, LabelScore, model_ref
from gateway.services.opened import Services
from gateway.services.pools.node import to_classify

DECODE = msgspec.json.Decoder(ClassifyBody).decode
ENCODE = msgspec.json.Encoder().encode

Input = str | tuple[str, str]


def classify_route(services: Services) -> HTTPRouteHandler:
    """The route, serving from these services."""
    return inference_route(services, CLASSIFY, classify, scope="classify")


async def classify(services: Services, call: Call, receive: Receive) -> Answer:
    """Label what the body holds."""
    body = decode_body(DECODE, await read_body(receive, call, services.settings.max_body_bytes))
    chosen = choose_model(call, body.model or services.settings.default_model)
    inputs = inputs_of(body, services.settings.max_inputs)
    labels = checked_labels(body.labels)
    call.inputs = len(inputs)
    request = ClassifyRequest(
        model_ref(chosen.model),
        inputs,
        labels=labels,
        multi_label=bool(body.multi_label),
        hypothesis_template=body.hypothesis_template,
        threshold=body.threshold,
        top_k=body.top_k,
        raw_scores=bool(body.raw_scores),
        truncate=may_truncate(body.truncate, body.truncation),
    )
    cost = classify_cost(chosen.model, inputs, labels, body.hypothesis_template)
    (reply,) = await ask(services, call, receive, chosen, to_classify, request, tokens=cost)
    return render(reply, inputs, body, order=labels or chosen.model.facts.labels, name=chosen.name, call=call)


def inputs_of(body: ClassifyBody, max_inputs: int | None) -> list[Input]:
    """What is to be labelled: texts and pairs."""
    field = "inputs" if body.input is None and body.inputs is not None else "input"
    source = body.input if body.input is not None else body.inputs
    if source is None:
        raise missing("input")
    if isinstance(source, str):
        return [source]
    if not source:
        raise invalid(f"$.{field}", "The list is empty.")
    if max_inputs is not None and len(source) > max_inputs:
        raise too_many(field, max_inputs, len(source))
    return [_input(item, f"$.{field}[{index}]") for index, item in enumerate(source)]


def _input(item: str | list[str] | TextObject, path: str) -> Input:
    match item:
        case str(text) | TextObject(text=text) | [text]:
            return text
        case [first, second]:
            return first, second
        case _:
            raise invalid(path, "A list in it is a text alone, or a pair of texts.")


def render(
    reply: ClassifyReply, inputs: Sequence[Input], body: ClassifyBody, *, order: Sequence[str], name: str, call: Call
) -> Answer:
    """The superset; `classifications` are Cohere's, whose clients alone send `inputs`."""
    tokens = tokens_of(reply)
    from_cohere = body.inputs is not None
    classifications = Classifications(
        id=call.id,
        created=int(time.time()),
        model=name,
        data=[_classification(index, fits, order) for index, fits in enumerate(reply.labels)],
        usage=Usage(tokens, tokens),
        classifications=[
            _in_coheres_words(f"{call.id}-{index}", text, fits, several=bool(body.multi_label))
            for index, (text, fits) in enumerate(zip(inputs, reply.labels, strict=True))
        ]
        if from_cohere
        else UNSET,
        truncated=reply.truncated or UNSET,
    )
    return Answer(ENCODE(classifications), headers=truncation_header(reply.truncated))


def _classification(index: int, fits: Sequence[LabelScore], order: Sequence[str]) -> Classification:
    scores = {fit.label: fit.score for fit in fits}
    complete = len(scores) == len(order) and all(label in scores for label in order)
    best: Any = fits[0] if fits else None
    return Classification(
        index=index,
        label=best and best.label,
        score=best and best.score,
        prediction=best and best.label,
        predictions=[LabelFit(fit.label, fit.score) for fit in fits],
        num_classes=len(order) or len(fits),
        probs=[scores[label] for label in order] if complete else UNSET,
    )


def _in_coheres_words(id_: str, text: Input, fits: Sequence[LabelScore], *, several: bool) -> CohereClassification:
    best = fits[0] if fits else None
    shown = fits if several else fits[:1]
    return CohereClassification(
        id=id_,
        input=text if isinstance(text, str) else "\n".join(text),
        prediction=best.label if best is not None and not several else None,
        predictions=[fit.label for fit in shown],
        confidence=best.score if best is not None and not several else None,
        confidences=[fit.score for fit in shown],
        labels={fit.label: LabelConfidence(fit.score) for fit in fits},
        classification_type="multi-label" if several else "single-label",
    )
