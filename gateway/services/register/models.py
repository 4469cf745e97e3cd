"""The model register: what may be served, from where, and under which names."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db import queries
from gateway.db.tables import Model, ModelAlias
from gateway.errors import Conflict, NotFound, RequestError
from gateway.services.register.aliases import forget_aliases
from gateway.services.register.audit import Actor, begin_change, record
from gateway.services.register.model_facts import NOTHING_KNOWN, ModelFacts, from_row, to_row
from gateway.services.register.names import checked_model_name, checked_name, known_spelling
from gateway.services.register.versions import check_version, count_change

DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewModel:
    """What an operator says of a model, and what an inspection of its source found."""

    id: str
    source: str | None = None
    """A hub id or the path of a model folder on the nodes; None: the id is the hub id."""
    revision: str | None = None
    pool: str = "default"
    aliases: tuple[str, ...] = ()
    dtype: str | None = None
    max_tokens: int | None = None
    pinned: bool = False
    dimensions: int | None = None
    """Found: the width of its vectors; None where it makes none or the source was out of reach."""
    input_limit: int | None = None
    """Found: tokens that one input may have."""
    facts: ModelFacts = NOTHING_KNOWN
    """Found: what else its files say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
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
    input_limit: int | None
    facts: ModelFacts
    version: int
    created_at: datetime


async def add_model(session: AsyncSession, actor: Actor, model: NewModel) -> ModelInfo:
    """Register a model. Its id and aliases must not be the id or an alias of any other."""
    check_model(model)
    await begin_change(session)
    for name in (model.id, *model.aliases):
        if (taken := await queries.model(session, name)) is not None:
            raise Conflict(
                f"The name '{name}' belongs to the model '{taken.id}' already; remove it first or choose another.",
                param="id",
            )
    row = Model(
        id=model.id,
        source=model.source or model.id,
        revision=model.revision,
        pool=model.pool,
        dtype=model.dtype,
        max_tokens=model.max_tokens,
        pinned=model.pinned,
        dimensions=model.dimensions,
        input_limit=model.input_limit,
        facts=to_row(model.facts),
        created_at=datetime.now(UTC),
    )
    session.add(row)
    await session.flush()  # the aliases point at it
    session.add_all(ModelAlias(alias=alias, model_id=model.id) for alias in model.aliases)
    record(session, actor, "model.add", model.id, after=asdict(model) | {"source": row.source})
    await session.flush()
    return model_info(row, model.aliases)


async def list_models(
    session: AsyncSession, *, after: str = "", limit: int | None = None, base: str | None = None
) -> Sequence[ModelInfo]:
    """Registered models by id: all of them, or so many of those behind the id `after`; `base`: its adapters alone."""
    rows = await queries.models(session, after=after, limit=limit, base=base)
    few = limit is not None or base is not None
    aliases = await queries.aliases(session, [row.id for row in rows] if few else None)
    return [model_info(row, aliases.get(row.id, ())) for row in rows]


async def models_of(session: AsyncSession, pool: str) -> Sequence[str]:
    """The ids of the models that a pool serves."""
    return await queries.model_ids(session, pool)


async def find_model(session: AsyncSession, name: str) -> ModelInfo:
    """The model of this id or alias, else `NotFound`."""
    row = await model_row(session, name)
    return model_info(row, await queries.aliases_of(session, row.id))


async def set_pinned(
    session: AsyncSession, actor: Actor, name: str, *, pinned: bool, version: int | None = None
) -> ModelInfo:
    """Keep a model in its nodes' memory from now on, or no longer. Again: nothing changes."""
    await begin_change(session)
    row = await model_row(session, name)
    check_version(row, version)
    if row.pinned != pinned:
        action = "model.pin" if pinned else "model.unpin"
        record(session, actor, action, row.id, before={"pinned": row.pinned}, after={"pinned": pinned})
        row.pinned = pinned
        count_change(row)
        await session.flush()
    return model_info(row, await queries.aliases_of(session, row.id))


async def remove_model(session: AsyncSession, actor: Actor, name: str, *, version: int | None = None) -> ModelInfo:
    """Forget a model and its aliases, those of tenants too. Usage that was recorded under it stays."""
    await begin_change(session)
    row = await model_row(session, name)
    check_version(row, version)
    await forget_aliases(session, actor, row.id)
    removed = model_info(row, await queries.aliases_of(session, row.id))
    await session.delete(row)  # the database takes its own aliases along
    record(
        session,
        actor,
        "model.remove",
        removed.id,
        before=asdict(removed) | {"created_at": removed.created_at.isoformat()},
    )
    await session.flush()
    return removed


async def model_row(session: AsyncSession, name: str) -> Model:
    """The row itself, for the services beside this one."""
    spelling = known_spelling(name)
    row = None if spelling is None else await queries.model(session, spelling)
    if row is None:
        raise NotFound(f"No model is called {name!r}; see: shoal model list.", param="model")
    return row


def check_model(model: NewModel) -> None:
    """Pass if a model could be registered so."""
    checked_model_name(model.id)
    checked_name(model.pool, "pool")
    names = (model.id, *(checked_model_name(alias, "an alias") for alias in model.aliases))
    if len(set(names)) < len(names):
        raise RequestError(f"A name of the model '{model.id}' is given twice: {', '.join(names)}.", param="alias")
    if model.dtype is not None and model.dtype not in DTYPES:
        raise RequestError(
            f"{model.dtype!r} is no number format of a model; use one of {', '.join(DTYPES)}.", param="dtype"
        )
    if model.max_tokens is not None and not 1 <= model.max_tokens <= (model.input_limit or 10_000_000):
        limit = f" to {model.input_limit}, which is what the model takes" if model.input_limit else " or more"
        raise RequestError(f"{model.max_tokens} tokens per input can not be kept; use 1{limit}.", param="max_tokens")
    for what, text in (("source", model.source), ("revision", model.revision)):
        if text is not None and (not text.strip() or not text.isprintable() or len(text) > 1000):
            raise RequestError(
                f"The model's {what} {text[:100]!r} is empty, too long or has control characters.", param=what
            )
    if model.source is not None and "://" in model.source:
        raise RequestError(
            "The model's source is a URL, and nodes fetch from the hub alone; give a hub id or the path of a folder.",
            param="source",
        )
    if model.revision is not None and (".." in model.revision or model.revision.startswith(("/", "-"))):
        raise RequestError(
            f"{model.revision[:100]!r} is no revision; give a commit, a tag or a branch.", param="revision"
        )


def model_info(row: Model, aliases: Sequence[str]) -> ModelInfo:
    """What others are told of a row."""
    return ModelInfo(
        id=row.id,
        source=row.source,
        revision=row.revision,
        pool=row.pool,
        aliases=tuple(sorted(aliases)),
        dtype=row.dtype,
        max_tokens=row.max_tokens,
        pinned=row.pinned,
        dimensions=row.dimensions,
        input_limit=row.input_limit,
        facts=from_row(row.facts),
        version=row.version,
        created_at=row.created_at,
    )
