"""`GET /v1/models`: what this key may use, and nothing else."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from litestar import Request, get
from litestar.handlers import HTTPRouteHandler

from gateway.api.answers import Answer
from gateway.api.costs import input_limit
from gateway.api.model_choice import find_model, key_of, usable_models
from gateway.api.schemas import Model, Models, ModelType
from gateway.call import call_of
from gateway.services.register.model_facts import Task
from gateway.services.snapshot.entries import ModelEntry
from gateway.services.snapshot.reach import names_for

ENCODE = msgspec.json.Encoder().encode
TYPES: Mapping[Task, ModelType] = {
    "embed": "embedding",
    "rerank": "rerank",
    "classify": "classify",
    "extract": "extract",
}
"""What a model is called that can do several things: by the first of them."""
OPT = {"endpoint": "/v1/models", "scope": "models"}


def model_routes() -> list[HTTPRouteHandler]:
    """The list, and one by its id or alias; slashes in an id may come raw or percent-encoded."""

    @get(["/v1/models", "/models"], opt=OPT)
    async def list_models(request: Request[Any, Any, Any]) -> Answer:
        call = call_of(request.scope)
        tenant = key_of(call).tenant
        models = usable_models(call.policies, key_of(call))
        named = [(model, tuple(names_for(tenant, model))) for model in models]
        return Answer(ENCODE(Models([shown(model, names[0], names) for model, names in named if names])))

    @get(["/v1/models/{model_id:path}", "/models/{model_id:path}"], opt=OPT)
    async def show_model(request: Request[Any, Any, Any]) -> Answer:
        call = call_of(request.scope)
        name = str(request.path_params["model_id"]).removeprefix("/")
        call.model = find_model(call.policies, key_of(call), name)
        return Answer(ENCODE(shown(call.model, name, tuple(names_for(key_of(call).tenant, call.model)))))

    return [list_models, show_model]


def shown(model: ModelEntry, name: str, names: Sequence[str]) -> Model:
    """A model as the wire describes it, under the name it was asked for; `names` are all that the tenant may use."""
    return Model(
        id=name,
        created=model.created,
        owned_by="shoal",
        type=next((kind for task, kind in TYPES.items() if task in model.facts.tasks), "embedding"),
        tasks=model.facts.tasks,
        outputs=model.facts.outputs,
        native=model.facts.native,
        dimensions=model.dimensions,
        max_input_tokens=input_limit(model),
        aliases=tuple(alias for alias in names if alias != model.id),
    )
