"""`GET /info`: the model behind text-embeddings-inference's wire, as far as it is known."""

from typing import Any

import msgspec
from litestar import Request, get
from litestar.handlers import HTTPRouteHandler

from gateway.api.answers import Answer
from gateway.api.costs import input_limit
from gateway.api.model_choice import choose_model
from gateway.api.paths import TEI_INFO
from gateway.api.tei_schemas import TeiInfo
from gateway.call import call_of
from gateway.services.opened import Services
from gateway.services.snapshot.entries import ModelEntry
from gateway.version import VERSION

ANY_NUMBER = 1_000_000
"""Of inputs in a request, where this gateway does not count them: bytes bound it."""
ENCODE = msgspec.json.Encoder().encode


def info_route(services: Services) -> HTTPRouteHandler:
    """The route; the server that it imitates has one model, so it is about the default one unless `model` names one."""

    @get(list(TEI_INFO), opt={"endpoint": TEI_INFO[0], "scope": "models", "plain_errors": True})
    async def show_info(request: Request[Any, Any, Any]) -> Answer:
        named = request.query_params.get("model")
        chosen = choose_model(call_of(request.scope), named or services.settings.default_model)
        return Answer(ENCODE(described(chosen.model, chosen.name, services.settings.max_inputs)))

    return show_info


def described(model: ModelEntry, name: str, max_inputs: int | None) -> TeiInfo:
    """The model under the name that it was asked for."""
    return TeiInfo(
        model_id=name,
        model_sha=model.revision,
        model_dtype=model.dtype,
        model_type=kind_of(model),
        max_input_length=input_limit(model),
        max_client_batch_size=max_inputs or ANY_NUMBER,
        auto_truncate=True,
        version=VERSION,
    )


def kind_of(model: ModelEntry) -> dict[str, dict[str, dict[str, str | int]]]:
    """One of three kinds, with the labels of those that have some."""
    facts = model.facts
    if "scores" not in facts.outputs:
        return {"embedding": {}}
    labels: dict[str, dict[str, str | int]] = {
        "id2label": {str(number): label for number, label in enumerate(facts.labels)},
        "label2id": {label: number for number, label in enumerate(facts.labels)},
    }
    return {"reranker" if "rerank" in facts.tasks else "classifier": labels}
