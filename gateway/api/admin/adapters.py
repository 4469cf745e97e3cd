"""Adapters (LoRA): registered beside the model that each of them changes. They are removed as models are."""

from typing import Annotated

import msgspec
from msgspec import Meta

from gateway.api.admin.lists import Listed, Piece, listed
from gateway.api.admin.models import Model, shown
from gateway.api.admin.operation import Ask, operation
from gateway.api.admin.words import ModelName, Text
from gateway.services.register import adapters, models

AdapterId = Annotated[
    str,
    Meta(min_length=3, max_length=200, pattern="^[A-Za-z0-9][A-Za-z0-9._:/@+-]*:[A-Za-z0-9._/@+-]*[A-Za-z0-9_+-]$"),
]
"""That of its model, a colon and a name."""


class NewAdapter(msgspec.Struct, forbid_unknown_fields=True):
    """An adapter to be registered. Its source is not looked at: nodes do that when they load it."""

    id: AdapterId
    adapter: Text
    """A hub id, with `@revision` where it matters, or the path of an adapter's folder on the nodes."""
    aliases: Annotated[list[ModelName], Meta(max_length=100)] = []


@operation("POST", "/adapters", right="fleet.change", status=201, tagged=True)
async def add_adapter(ask: Ask, body: NewAdapter) -> Model:
    """Register an adapter; all else is its model's. DELETE /models/{model} removes it."""
    new = adapters.NewAdapter(id=body.id, adapter=body.adapter, aliases=tuple(body.aliases))
    async with ask.changing() as session:
        made = await adapters.add_adapter(session, ask.actor, new)
    ask.version, ask.location = made.version, f"/models/{made.id}"
    return shown(made)


@operation("GET", "/adapters/{model:path}", right="fleet.look")
async def list_adapters(ask: Ask, model: str, query: Piece) -> Listed[Model]:
    """The adapters on a model, by id."""
    async with ask.looking() as session:
        found = await adapters.list_adapters(session, (await models.find_model(session, model)).id)
    return listed(found, query, position=lambda one: one.id, shown=shown)


OPERATIONS = (add_adapter, list_adapters)
