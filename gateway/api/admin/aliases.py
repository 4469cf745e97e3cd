"""Aliases of tenants: names that a model has for one tenant only. Admins set them, since they know every model."""

import msgspec

from gateway.api.admin.lists import Listed, Piece, listed, shown_as
from gateway.api.admin.operation import Ask, operation
from gateway.api.admin.words import ModelName
from gateway.services.register import aliases, tenants


class AliasSetting(msgspec.Struct, forbid_unknown_fields=True):
    """What the alias means."""

    model: ModelName
    """A registered model, by id or alias."""


class Alias(msgspec.Struct, frozen=True):
    """What a tenant calls a model."""

    alias: str
    model_id: str


shown = shown_as(Alias)


@operation("GET", "/tenants/{tenant:str}/aliases", right="tenant.look", tagged=True)
async def list_aliases(ask: Ask, tenant: str, query: Piece) -> Listed[Alias]:
    """The tenant's aliases, by name. The ETag is the tenant's."""
    async with ask.looking() as session:
        found = await aliases.list_aliases(session, tenant)
        ask.version = (await tenants.find_tenant(session, tenant)).version
    return listed(found, query, position=lambda alias: alias.alias, shown=shown)


@operation("PUT", "/tenants/{tenant:str}/aliases/{alias:path}", right="fleet.change", tagged=True, guarded=True)
async def set_alias(ask: Ask, tenant: str, alias: str, body: AliasSetting) -> Alias:
    """Let the tenant call a model so. If-Match and ETag are the tenant's."""
    async with ask.changing() as session:
        made = await aliases.set_alias(session, ask.actor, tenant, alias, body.model, version=ask.seen)
        ask.version = (await tenants.find_tenant(session, tenant)).version
    return shown(made)


@operation("DELETE", "/tenants/{tenant:str}/aliases/{alias:path}", right="fleet.change", status=204)
async def remove_alias(ask: Ask, tenant: str, alias: str) -> None:
    """Forget what the tenant calls a model."""
    async with ask.changing() as session:
        await aliases.remove_alias(session, ask.actor, tenant, alias, version=ask.seen)


OPERATIONS = (list_aliases, set_alias, remove_alias)
