"""Grants: which models a tenant, or one of its keys, may use. Patterns allow or deny, and deny wins."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db import queries
from gateway.db.tables import ModelGrant
from gateway.errors import NotFound
from gateway.services.register.audit import Actor, begin_change, record
from gateway.services.register.names import checked_pattern
from gateway.services.register.owners import find_owner
from gateway.services.register.tenants import tenant_row
from gateway.services.register.versions import count_change


@dataclass(frozen=True, slots=True)
class GrantInfo:
    """One pattern, of a tenant (`key_id` None) or of one of its keys."""

    tenant_id: str
    key_id: str | None
    pattern: str
    deny: bool


@dataclass(frozen=True, slots=True)
class RemovedGrant:
    """A grant that is no more."""

    grant: GrantInfo
    widened: bool
    """It was the last that allowed its key anything: from now on the key may use all that its tenant may."""


async def add_grant(
    session: AsyncSession,
    actor: Actor,
    tenant: str,
    pattern: str,
    *,
    deny: bool = False,
    key: str | None = None,
    version: int | None = None,
) -> GrantInfo:
    """Allow, or deny, the models that the pattern covers. The same pattern again takes the new meaning.

    `version` is that of the owner, the tenant or the key, as the caller saw it.
    """
    pattern = checked_pattern(pattern)
    await begin_change(session)
    owner = await find_owner(session, tenant, key, version=version)
    row = await queries.grant(session, owner.tenant_id, owner.key_id, pattern)
    before = None if row is None else _facts(row)
    if row is None:
        row = ModelGrant(tenant_id=owner.tenant_id, key_id=owner.key_id, pattern=pattern, deny=deny)
        session.add(row)
    row.deny = deny
    if before != _facts(row):
        count_change(owner.row)
        facts = _facts(row)
        record(session, actor, "grant.set", owner.id, tenant_id=owner.tenant_id, before=before, after=facts)
    await session.flush()
    return _info(row)


async def remove_grant(
    session: AsyncSession,
    actor: Actor,
    tenant: str,
    pattern: str,
    *,
    key: str | None = None,
    version: int | None = None,
) -> RemovedGrant:
    """Forget the pattern, whether it allowed or denied."""
    await begin_change(session)
    owner = await find_owner(session, tenant, key, version=version)
    row = await queries.grant(session, owner.tenant_id, owner.key_id, pattern)
    if row is None:
        whose = f"key {owner.key_id}" if owner.key_id else f"tenant '{tenant}'"
        raise NotFound(f"The {whose} has no grant {pattern!r}; see: shoal allow list --tenant NAME.", param="pattern")
    await session.delete(row)
    count_change(owner.row)
    record(session, actor, "grant.remove", owner.id, tenant_id=owner.tenant_id, before=_facts(row))
    await session.flush()
    allowing = [
        other
        for other in await queries.grants(session, owner.tenant_id)
        if other.key_id == owner.key_id and not other.deny
    ]
    return RemovedGrant(_info(row), widened=owner.key_id is not None and not row.deny and not allowing)


async def set_grants(
    session: AsyncSession,
    actor: Actor,
    tenant: str,
    wanted: Mapping[str, bool],
    *,
    key: str | None = None,
    version: int | None = None,
) -> Sequence[RemovedGrant]:
    """Make these the owner's grants, and no others: whether each pattern denies. Replies with those that went.

    Each change leaves its own event; `version` is that of the owner before the first of them.
    """
    patterns = {checked_pattern(pattern): deny for pattern, deny in wanted.items()}
    await begin_change(session)
    owner = await find_owner(session, tenant, key, version=version)
    rows = [row for row in await queries.grants(session, owner.tenant_id) if row.key_id == owner.key_id]
    for pattern, deny in patterns.items():
        await add_grant(session, actor, owner.tenant_id, pattern, deny=deny, key=owner.key_id)
    gone = [row.pattern for row in rows if row.pattern not in patterns]
    return [await remove_grant(session, actor, owner.tenant_id, pattern, key=owner.key_id) for pattern in gone]


async def list_grants(session: AsyncSession, tenant: str) -> Sequence[GrantInfo]:
    """The tenant's grants, then those of its keys."""
    return [_info(row) for row in await queries.grants(session, (await tenant_row(session, tenant)).id)]


def _facts(row: ModelGrant) -> dict[str, object]:
    return {"pattern": row.pattern, "deny": row.deny}


def _info(row: ModelGrant) -> GrantInfo:
    return GrantInfo(row.tenant_id, row.key_id, row.pattern, row.deny)
