"""Grants: which models a tenant, or one of its keys, may use. Patterns allow or deny, and deny wins."""

import msgspec

from gateway.api.admin.lists import Listed, Piece, listed, shown_as
from gateway.api.admin.operation import Ask, operation
from gateway.services.register import grants
from gateway.services.register.owners import find_owner


class GrantSetting(msgspec.Struct, forbid_unknown_fields=True):
    """What the pattern means."""

    deny: bool = False


class Grant(msgspec.Struct, frozen=True):
    """One pattern."""

    pattern: str
    deny: bool
    key_id: str | None
    """The key that it narrows; null: it is the tenant's."""


shown = shown_as(Grant)


@operation("GET", "/tenants/{tenant:str}/grants", right="tenant.look", tagged=True)
async def list_grants(ask: Ask, tenant: str, query: Piece) -> Listed[Grant]:
    """The tenant's own grants. The ETag is the tenant's."""
    return await _list(ask, tenant, None, query)


@operation("PUT", "/tenants/{tenant:str}/grants/{pattern:path}", right="fleet.change", tagged=True, guarded=True)
async def set_grant(ask: Ask, tenant: str, pattern: str, body: GrantSetting) -> Grant:
    """Allow, or deny, the models that the pattern covers. If-Match and ETag are the tenant's."""
    return await _set(ask, tenant, None, pattern, body)


@operation("DELETE", "/tenants/{tenant:str}/grants/{pattern:path}", right="fleet.change", status=204)
async def remove_grant(ask: Ask, tenant: str, pattern: str) -> None:
    """Forget a pattern, whether it allowed or denied."""
    await _remove(ask, tenant, None, pattern)


@operation("GET", "/tenants/{tenant:str}/keys/{key:str}/grants", right="tenant.look", tagged=True)
async def list_key_grants(ask: Ask, tenant: str, key: str, query: Piece) -> Listed[Grant]:
    """What narrows one key. The ETag is the key's."""
    return await _list(ask, tenant, key, query)


@operation(
    "PUT",
    "/tenants/{tenant:str}/keys/{key:str}/grants/{pattern:path}",
    right="tenant.change",
    tagged=True,
    guarded=True,
)
async def set_key_grant(ask: Ask, tenant: str, key: str, pattern: str, body: GrantSetting) -> Grant:
    """Narrow one key. It never may use more than its tenant. If-Match and ETag are the key's."""
    return await _set(ask, tenant, key, pattern, body)


@operation("DELETE", "/tenants/{tenant:str}/keys/{key:str}/grants/{pattern:path}", right="tenant.change", status=204)
async def remove_key_grant(ask: Ask, tenant: str, key: str, pattern: str) -> None:
    """Forget a pattern of one key."""
    await _remove(ask, tenant, key, pattern)


async def _list(ask: Ask, tenant: str, key: str | None, query: Piece) -> Listed[Grant]:
    async with ask.looking() as session:
        owner = await find_owner(session, tenant, key)
        found = await grants.list_grants(session, owner.tenant_id)
        ask.version = owner.row.version
    mine = [grant for grant in found if grant.key_id == owner.key_id]
    return listed(mine, query, position=lambda grant: grant.pattern, shown=shown)


async def _set(ask: Ask, tenant: str, key: str | None, pattern: str, body: GrantSetting) -> Grant:
    async with ask.changing() as session:
        made = await grants.add_grant(session, ask.actor, tenant, pattern, deny=body.deny, key=key, version=ask.seen)
        ask.version = (await find_owner(session, tenant, key)).row.version
    return shown(made)


async def _remove(ask: Ask, tenant: str, key: str | None, pattern: str) -> None:
    async with ask.changing() as session:
        await grants.remove_grant(session, ask.actor, tenant, pattern, key=key, version=ask.seen)


OPERATIONS = (list_grants, set_grant, remove_grant, list_key_grants, set_key_grant, remove_key_grant)
