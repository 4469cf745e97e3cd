"""Changing a registered model: where it is served, under which names, in which numbers. What it is stays."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db import queries
from gateway.db.tables import Model, ModelAlias
from gateway.errors import Conflict, RequestError
from gateway.services.register.audit import Actor, begin_change, record
from gateway.services.register.model_facts import from_row
from gateway.services.register.models import ModelInfo, NewModel, check_model, model_info, model_row
from gateway.services.register.versions import check_version, count_change


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """What of a model may change; another source or revision is another model."""

    pool: str
    aliases: tuple[str, ...]
    dtype: str | None
    max_tokens: int | None


async def update_model(
    session: AsyncSession, actor: Actor, name: str, settings: ModelSettings, *, version: int | None = None
) -> ModelInfo:
    """Have a model be so from now on; adapters on it follow it. The same again changes nothing."""
    await begin_change(session)
    row = await model_row(session, name)
    check_version(row, version)
    before = model_info(row, await queries.aliases_of(session, row.id))
    check_model(
        NewModel(
            id=row.id,
            source=row.source,
            revision=row.revision,
            pool=settings.pool,
            aliases=settings.aliases,
            dtype=settings.dtype,
            max_tokens=settings.max_tokens,
            input_limit=row.input_limit,
        )
    )
    if before.facts.base is not None and _placed(before) != _placed(settings):
        raise RequestError(
            f"'{row.id}' is an adapter and has its pool, number format and token limit of '{before.facts.base}'; "
            "change them there.",
            param="pool",
        )
    await _rename(session, row.id, before.aliases, settings.aliases)
    _change(session, actor, row, before, settings)
    for other in await queries.models(session):
        if from_row(other.facts).base == row.id:
            known = model_info(other, await queries.aliases_of(session, other.id))
            aliases = known.aliases
            _change(
                session,
                actor,
                other,
                known,
                ModelSettings(
                    pool=settings.pool, aliases=aliases, dtype=settings.dtype, max_tokens=settings.max_tokens
                ),
            )
    await session.flush()
    return model_info(row, await queries.aliases_of(session, row.id))


async def _rename(session: AsyncSession, model_id: str, old: Sequence[str], new: Sequence[str]) -> None:
    for alias in new:
        taken = await queries.model(session, alias)
        if taken is not None and taken.id != model_id:
            raise Conflict(
                f"The name '{alias}' belongs to the model '{taken.id}' already; choose another.", param="aliases"
            )
    for alias in set(old) - set(new):
        await session.delete(await session.get_one(ModelAlias, alias))
    session.add_all(ModelAlias(alias=alias, model_id=model_id) for alias in new if alias not in old)


def _change(session: AsyncSession, actor: Actor, row: Model, before: ModelInfo, settings: ModelSettings) -> None:
    known, wanted = _facts(before), _facts(settings)
    if known == wanted:
        return
    row.pool, row.dtype, row.max_tokens = settings.pool, settings.dtype, settings.max_tokens
    count_change(row)
    record(session, actor, "model.update", row.id, before=known, after=wanted)


def _placed(model: ModelInfo | ModelSettings) -> tuple[str, str | None, int | None]:
    return model.pool, model.dtype, model.max_tokens


def _facts(model: ModelInfo | ModelSettings) -> dict[str, object]:
    return {
        "pool": model.pool,
        "aliases": sorted(model.aliases),
        "dtype": model.dtype,
        "max_tokens": model.max_tokens,
    }
