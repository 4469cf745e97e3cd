"""Names that a model has for one tenant only: they win over names for everybody, and let nobody use more models."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db import fleet_queries, queries
from gateway.db.tables import TenantAlias
from gateway.errors import NotFound
from gateway.services.register.audit import Actor, begin_change, record
from gateway.services.register.names import checked_model_name, known_spelling
from gateway.services.register.tenants import tenant_row
from gateway.services.register.versions import check_version, count_change


@dataclass(frozen=True, slots=True)
class AliasInfo:
    """What one tenant calls a model."""

    tenant_id: str
    alias: str
    model_id: str


async def set_alias(
    session: AsyncSession, actor: Actor, tenant: str, alias: str, model: str, *, version: int | None = None
) -> AliasInfo:
    """Let `alias` mean a registered model (its id or alias) to this tenant. The same alias again takes the new meaning.

    `version` is the tenant's, as the caller saw it.
    """
    alias = checked_model_name(alias, "an alias")
    await begin_change(session)
    owner = await tenant_row(session, tenant)
    check_version(owner, version)
    spelling = known_spelling(model)
    meant = None if spelling is None else await queries.model(session, spelling)
    if meant is None:
        raise NotFound(f"No model is called {model!r}; see: shoal model list.", param="model")
    row = await queries.tenant_alias(session, owner.id, alias)
    before = None if row is None else _facts(row)
    if row is None:
        row = TenantAlias(tenant_id=owner.id, alias=alias, model_id=meant.id)
        session.add(row)
    row.model_id = meant.id
    if before != _facts(row):
        count_change(owner)
        record(session, actor, "alias.set", owner.id, tenant_id=owner.id, before=before, after=_facts(row))
    await session.flush()
    return _info(row)


async def remove_alias(
    session: AsyncSession, actor: Actor, tenant: str, alias: str, *, version: int | None = None
) -> AliasInfo:
    """Forget what the tenant calls a model; from then on the name means to it what it means to everybody."""
    await begin_change(session)
    owner = await tenant_row(session, tenant)
    check_version(owner, version)
    row = await queries.tenant_alias(session, owner.id, alias)
    if row is None:
        raise NotFound(
            f"The tenant '{owner.name}' has no alias {alias!r}; see: shoal alias list --tenant NAME.", param="alias"
        )
    count_change(owner)
    await _remove(session, actor, row)
    await session.flush()
    return _info(row)


async def list_aliases(session: AsyncSession, tenant: str) -> Sequence[AliasInfo]:
    """The tenant's aliases, by name."""
    return [_info(row) for row in await queries.tenant_aliases(session, (await tenant_row(session, tenant)).id)]


async def aliases_of_model(session: AsyncSession, model_id: str) -> Sequence[tuple[str, AliasInfo]]:
    """What single tenants call a model, with the tenants' names, by these."""
    return [(name, _info(row)) for name, row in await fleet_queries.tenant_aliases_of(session, model_id)]


async def forget_aliases(session: AsyncSession, actor: Actor, model_id: str) -> None:
    """Remove every tenant's aliases of a model that is about to go, with an event and a change for each tenant."""
    for tenant_id in await queries.tenants_with_alias_of(session, model_id):
        count_change(await tenant_row(session, tenant_id))
        for row in await queries.tenant_aliases(session, tenant_id):
            if row.model_id == model_id:
                await _remove(session, actor, row)
    await session.flush()


async def _remove(session: AsyncSession, actor: Actor, row: TenantAlias) -> None:
    await session.delete(row)
    record(session, actor, "alias.remove", row.tenant_id, tenant_id=row.tenant_id, before=_facts(row))


def _facts(row: TenantAlias) -> dict[str, object]:
    return {"alias": row.alias, "model": row.model_id}


def _info(row: TenantAlias) -> AliasInfo:
    return AliasInfo(row.tenant_id, row.alias, row.model_id)
