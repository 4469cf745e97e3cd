"""Grants: which models a tenant, or one of its keys, may use. Patterns allow or deny, and deny wins."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db import queries
from gateway.db.tables import ModelGrant
from gateway.errors import NotFound
from gateway.services.audit import Actor, begin_change, record
from gateway.services.keys import key_row
from gateway.services.names import checked_pattern
from gateway.services.tenants import tenant_row


@dataclass(frozen=True, slots=True)
class GrantInfo:
    """One pattern, of a tenant (`key_id` None) or of one of its keys."""

    tenant_id: str
    key_id: str | None
    pattern: str
    deny: bool


async def add_grant(
    session: AsyncSession, actor: Actor, tenant: str, pattern: str, *, deny: bool = False, key: str | None = None
) -> GrantInfo:
    """Allow, or deny, the models that the pattern covers. The same pattern again takes the new meaning."""
    pattern = checked_pattern(pattern)
    await begin_change(session)
    tenant_id, key_id = await owner(session, tenant, key)
    row = await queries.grant(session, tenant_id, key_id, pattern)
    before = None if row is None else _facts(row)
    if row is None:
        row = ModelGrant(tenant_id=tenant_id, key_id=key_id, pattern=pattern, deny=deny)
        session.add(row)
    row.deny = deny
    if before != _facts(row):
        record(session, actor, "grant.set", key_id or tenant_id, before=before, after=_facts(row))
    await session.flush()
    return _info(row)


async def remove_grant(
    session: AsyncSession, actor: Actor, tenant: str, pattern: str, *, key: str | None = None
) -> GrantInfo:
    """Forget the pattern, whether it allowed or denied."""
    await begin_change(session)
    tenant_id, key_id = await owner(session, tenant, key)
    row = await queries.grant(session, tenant_id, key_id, pattern)
    if row is None:
        whose = f"key {key_id}" if key_id else f"tenant '{tenant}'"
        raise NotFound(f"The {whose} has no grant {pattern!r}; see: shoal allow list --tenant NAME.", param="pattern")
    await session.delete(row)
    record(session, actor, "grant.remove", key_id or tenant_id, before=_facts(row))
    await session.flush()
    return _info(row)


async def list_grants(session: AsyncSession, tenant: str) -> Sequence[GrantInfo]:
    """The tenant's grants, then those of its keys."""
    return [_info(row) for row in await queries.grants(session, (await tenant_row(session, tenant)).id)]


async def owner(session: AsyncSession, tenant: str, key: str | None) -> tuple[str, str | None]:
    """The ids of a tenant and, where one is named, of a key that is its own."""
    tenant_id = (await tenant_row(session, tenant)).id
    return tenant_id, None if key is None else (await key_row(session, key, tenant_id)).id


def _facts(row: ModelGrant) -> dict[str, object]:
    return {"pattern": row.pattern, "deny": row.deny}


def _info(row: ModelGrant) -> GrantInfo:
    return GrantInfo(row.tenant_id, row.key_id, row.pattern, row.deny)
