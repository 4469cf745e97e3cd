"""Low-rank adapters (LoRA) in the register: each a model of its own id beside the one that it changes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db import queries
from gateway.errors import RequestError
from gateway.services.register.audit import Actor, begin_change
from gateway.services.register.models import ModelInfo, NewModel, add_model, find_model, list_models

SEPARATOR = ":"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAdapter:
    """What an operator says of an adapter."""

    id: str
    """That of its base, or an alias of it, a colon and a name."""
    adapter: str
    """A hub id, with `@revision` where it matters, or the path of a folder on the nodes."""
    aliases: tuple[str, ...] = ()


async def find_base(session: AsyncSession, adapter_id: str) -> ModelInfo:
    """The model that an adapter of this id would change. Raises RequestError where it could not."""
    stem, colon, name = adapter_id.rpartition(SEPARATOR)
    if not stem or not colon or not name:
        raise RequestError("An adapter's id is that of its model, a colon and a name.", param="id")
    base = await find_model(session, stem)
    if base.facts.adapter is not None:
        raise RequestError(f"'{base.id}' is an adapter itself.", param="id")
    if any(upstream.pool == base.pool for upstream in await queries.upstreams(session)):
        raise RequestError(f"'{base.id}' is served by upstreams, which load no adapters.", param="id")
    return base


async def add_adapter(session: AsyncSession, actor: Actor, new: NewAdapter) -> ModelInfo:
    """Register an adapter: it is in its base's pool, and in its numbers, and takes inputs as long."""
    await begin_change(session)
    base = await find_base(session, new.id)
    if not new.adapter.strip() or not new.adapter.isprintable() or len(new.adapter) > 1000:
        raise RequestError("The adapter's source is empty, too long or has control characters.", param="adapter")
    if "://" in new.adapter:
        raise RequestError(
            "The adapter's source is a URL, and nodes fetch from the hub alone; give a hub id or a folder.",
            param="adapter",
        )
    model = NewModel(
        id=new.id,
        source=base.source,
        revision=base.revision,
        pool=base.pool,
        aliases=new.aliases,
        dtype=base.dtype,
        max_tokens=base.max_tokens,
        dimensions=base.dimensions,
        input_limit=base.input_limit,
        facts=replace(base.facts, base=base.id, adapter=new.adapter),
    )
    return await add_model(session, actor, model)


async def list_adapters(session: AsyncSession, base_id: str) -> Sequence[ModelInfo]:
    """The adapters on a model, by id."""
    return await list_models(session, base=base_id)
