"""Models: the register of what may be served, from where, under which names."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gateway.api.admin.lists import Listed, Piece, listed, shown_as
from gateway.api.admin.operation import Ask, operation
from gateway.api.admin.words import ModelName, Name, Text
from gateway.services.pools import placement
from gateway.services.register import models
from gateway.services.register.model_facts import ModelFacts

Count = Annotated[int, Meta(ge=1, le=10_000_000)]


class NewModel(msgspec.Struct, forbid_unknown_fields=True):
    """A model to be registered. Its source is not looked at: nodes do that when they load it."""

    id: ModelName
    source: Text | None = None
    """A hub id, or the path of a model folder on the nodes; null: the id is the hub id."""
    revision: Text | None = None
    pool: Name = "default"
    aliases: Annotated[list[ModelName], Meta(max_length=100)] = []
    dtype: Literal["float32", "bfloat16", "float16"] | None = None
    max_tokens: Count | None = None
    """Cut inputs shorter than the model itself does."""
    pinned: bool = False


class Model(msgspec.Struct, frozen=True):
    """A registered model."""

    id: str
    source: str
    revision: str | None
    pool: str
    aliases: tuple[str, ...]
    dtype: str | None
    max_tokens: int | None
    pinned: bool
    dimensions: int | None
    """Null where its source was not looked at, or it makes no vectors."""
    input_limit: int | None
    facts: ModelFacts
    """What else its files say; empty where they were not looked at."""
    created_at: datetime
    version: int


class Placement(msgspec.Struct, frozen=True):
    """One node after it has done as it was asked; bytes."""

    node: str
    memory_used: int
    memory_budget: int


class Placements(msgspec.Struct, frozen=True):
    """Every node of the model's pool."""

    nodes: list[Placement]


shown = shown_as(Model)


@operation("POST", "/models", right="fleet.change", status=201, tagged=True)
async def add_model(ask: Ask, body: NewModel) -> Model:
    """Register a model. Whether it can be served is known when it is loaded: PUT /residents/{model}."""
    new = models.NewModel(
        id=body.id,
        source=body.source,
        revision=body.revision,
        pool=body.pool,
        aliases=tuple(body.aliases),
        dtype=body.dtype,
        max_tokens=body.max_tokens,
        pinned=body.pinned,
    )
    async with ask.changing() as session:
        made = await models.add_model(session, ask.actor, new)
    ask.version, ask.location = made.version, f"/models/{made.id}"
    return shown(made)


@operation("GET", "/models", right="fleet.look")
async def list_models(ask: Ask, query: Piece) -> Listed[Model]:
    """Every registered model, by id."""
    async with ask.looking() as session:
        found = await models.list_models(session)
    return listed(found, query, position=lambda model: model.id, shown=shown)


@operation("GET", "/models/{model:path}", right="fleet.look", tagged=True)
async def show_model(ask: Ask, model: str) -> Model:
    """One model, by id or alias."""
    async with ask.looking() as session:
        found = await models.find_model(session, model)
    ask.version = found.version
    return shown(found)


@operation("DELETE", "/models/{model:path}", right="fleet.change", status=204)
async def remove_model(ask: Ask, model: str) -> None:
    """Forget a model and its aliases; usage under its name stays."""
    async with ask.changing() as session:
        await models.remove_model(session, ask.actor, model, version=ask.seen)


@operation("PUT", "/residents/{model:path}", right="fleet.change")
async def load_model(ask: Ask, model: str) -> Placements:
    """Bring a model into the memory of every node of its pool, and wait until it is there."""
    return await _place(ask, "load", await _find(ask, model))


@operation("DELETE", "/residents/{model:path}", right="fleet.change", status=204)
async def unload_model(ask: Ask, model: str) -> None:
    """Take a model out of the memory of its pool's nodes. The next request loads it again."""
    await _place(ask, "unload", await _find(ask, model))


@operation("PUT", "/pins/{model:path}", right="fleet.change", tagged=True)
async def pin_model(ask: Ask, model: str) -> Model:
    """Keep a model in the memory of its pool's nodes, whatever else is used: those that run now load it at once."""
    return await _keep(ask, model, pinned=True)


@operation("DELETE", "/pins/{model:path}", right="fleet.change", status=204)
async def unpin_model(ask: Ask, model: str) -> None:
    """Let a model be evicted again when others need its room. One that is not pinned stays so."""
    await _keep(ask, model, pinned=False)


async def _find(ask: Ask, name: str) -> models.ModelInfo:
    async with ask.looking() as session:
        return await models.find_model(session, name)


async def _place(ask: Ask, verb: placement.Verb, model: models.ModelInfo, *, if_any: bool = False) -> Placements:
    placed = await placement.place(verb, model, model.pool, ask.services.nodes, if_any=if_any)
    return Placements(list(map(shown_as(Placement), placed)))


async def _keep(ask: Ask, name: str, *, pinned: bool) -> Model:
    """The register last: where a node refuses, it must not promise what can not be kept."""
    model = replace(await _find(ask, name), pinned=pinned)
    await _place(ask, "pin" if pinned else "unpin", model, if_any=True)
    async with ask.changing() as session:
        found = await models.set_pinned(session, ask.actor, model.id, pinned=pinned, version=ask.seen)
    ask.version = found.version
    return shown(found)


OPERATIONS = (
    add_model, list_models, show_model, remove_model, load_model, unload_model, pin_model, unpin_model,
)  # fmt: skip
