"""Tenants: made, listed, suspended and resumed by operators."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db import queries
from gateway.db.tables import Tenant
from gateway.errors import Conflict, NotFound
from gateway.services.audit import Actor, begin_change, record
from gateway.services.ids import new_id
from gateway.services.names import checked_name, known_spelling


@dataclass(frozen=True, slots=True)
class TenantInfo:
    """A tenant, as operators see it."""

    id: str
    name: str
    suspended_at: datetime | None
    created_at: datetime


async def create_tenant(session: AsyncSession, actor: Actor, name: str) -> TenantInfo:
    """A new tenant, which may use nothing until it is granted models. Names are unique."""
    name = checked_name(name, "tenant")
    await begin_change(session)
    if await queries.tenant(session, name) is not None:
        raise Conflict(f"There is already a tenant called '{name}'.", param="name")
    row = Tenant(id=f"tn_{new_id()}", name=name, created_at=datetime.now(UTC))
    session.add(row)
    record(session, actor, "tenant.create", row.id, after={"name": name})
    await session.flush()
    return _info(row)


async def list_tenants(session: AsyncSession) -> Sequence[TenantInfo]:
    """Every tenant, by name."""
    return [_info(row) for row in await queries.tenants(session)]


async def find_tenant(session: AsyncSession, name_or_id: str) -> TenantInfo:
    """The tenant of this name or id, else `NotFound`."""
    return _info(await tenant_row(session, name_or_id))


async def suspend_tenant(session: AsyncSession, actor: Actor, name_or_id: str) -> TenantInfo:
    """Refuse all of the tenant's requests from now on. Again: nothing changes."""
    return await _set_suspended(session, actor, name_or_id, suspended=True)


async def resume_tenant(session: AsyncSession, actor: Actor, name_or_id: str) -> TenantInfo:
    """Serve the tenant again."""
    return await _set_suspended(session, actor, name_or_id, suspended=False)


async def tenant_row(session: AsyncSession, name_or_id: str) -> Tenant:
    """The row itself, for the services beside this one."""
    name = known_spelling(name_or_id)
    row = None if name is None else await queries.tenant(session, name)
    if row is None:
        raise NotFound(f"No tenant is called {name_or_id!r}; see: shoal tenant list.", param="tenant")
    return row


async def _set_suspended(session: AsyncSession, actor: Actor, name_or_id: str, *, suspended: bool) -> TenantInfo:
    await begin_change(session)
    row = await tenant_row(session, name_or_id)
    before = row.suspended_at is not None
    if before != suspended:
        row.suspended_at = datetime.now(UTC) if suspended else None
        action = "tenant.suspend" if suspended else "tenant.resume"
        record(session, actor, action, row.id, before={"suspended": before}, after={"suspended": suspended})
        await session.flush()
    return _info(row)


def _info(row: Tenant) -> TenantInfo:
    return TenantInfo(row.id, row.name, row.suspended_at, row.created_at)
