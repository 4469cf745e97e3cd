"""`GET /v1/models`: what this key may use, and nothing else."""

from typing import Any

import msgspec
from litestar import Request, get
from litestar.handlers import HTTPRouteHandler

from gateway.api.answers import Answer
from gateway.api.model_choice import find_model, input_limit, key_of, usable_models
from gateway.api.schemas import Model, Models
from gateway.call import call_of
from gateway.services.snapshot import ModelEntry

ENCODE = msgspec.json.Encoder().encode


def model_routes() -> list[HTTPRouteHandler]:
    """The list, and one by its id or alias; slashes in an id may come raw or percent-encoded."""

    @get(["/v1/models", "/models"], opt={"endpoint": "/v1/models"})
    async def list_models(request: Request[Any, Any, Any]) -> Answer:
        call = call_of(request.scope)
        models = usable_models(call.policies, key_of(call))
        return Answer(ENCODE(Models([shown(model, model.id) for model in models])))

    @get(["/v1/models/{model_id:path}", "/models/{model_id:path}"], opt={"endpoint": "/v1/models"})
    async def show_model(request: Request[Any, Any, Any]) -> Answer:
        call = call_of(request.scope)
        name = str(request.path_params["model_id"]).removeprefix("/")
        call.model = find_model(call.policies, key_of(call), name)
        return Answer(ENCODE(shown(call.model, name)))

    return [list_models, show_model]


def shown(model: ModelEntry, name: str) -> Model:
    """A model as the wire describes it, under the name it was asked for."""
    return Model(
        id=name,
        created=model.created,
        owned_by="shoal",
        type="embedding",
        dimensions=model.dimensions,
        max_input_tokens=input_limit(model),
        aliases=model.aliases,
    )
