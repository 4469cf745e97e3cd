"""Tenants: made, changed, suspended, resumed and deleted by operators."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import get_args

from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db import queries
from gateway.db.tables import Tenant
from gateway.engine_client import Lane
from gateway.errors import Conflict, NotFound, RequestError
from gateway.services.ids import new_id
from gateway.services.register.audit import Actor, begin_change, record
from gateway.services.register.names import checked_name, known_spelling
from gateway.services.register.versions import check_version, count_change

LANES: tuple[Lane, ...] = get_args(Lane)
LEAST_WEIGHT, MOST_WEIGHT = 0.01, 100.0
"""Of a tenant's share beside others'; further apart, one of two would as good as not be served."""


@dataclass(frozen=True, slots=True)
class TenantInfo:
    """A tenant, as operators see it."""

    id: str
    name: str
    suspended_at: datetime | None
    lane: Lane
    """`bulk`: all of its requests wait there, whatever they ask for."""
    weight: float
    """Its share of a node beside that of other tenants."""
    version: int
    """Counts the changes of it and of what belongs to it: its grants, limits and aliases."""
    created_at: datetime


async def create_tenant(
    session: AsyncSession, actor: Actor, name: str, *, lane: str = "interactive", weight: float = 1.0
) -> TenantInfo:
    """A new tenant, which may use nothing until it is granted models. Names are unique."""
    name, lane, weight = checked_name(name, "tenant"), checked_lane(lane), _checked_weight(weight)
    await begin_change(session)
    await _check_free(session, name)
    row = Tenant(id=f"tn_{new_id()}", name=name, lane=lane, weight=weight, created_at=datetime.now(UTC))
    session.add(row)
    record(session, actor, "tenant.create", row.id, tenant_id=row.id, after=_facts(row))
    await session.flush()
    return _info(row)


async def update_tenant(
    session: AsyncSession,
    actor: Actor,
    name_or_id: str,
    *,
    name: str | None = None,
    lane: str | None = None,
    weight: float | None = None,
    version: int | None = None,
) -> TenantInfo:
    """Change what is named; None leaves it as it is. `version` is the tenant's, as the caller saw it.

    Raises Conflict where somebody else changed the tenant since, or has the name.
    """
    name = None if name is None else checked_name(name, "tenant")
    await begin_change(session)
    row = await tenant_row(session, name_or_id)
    check_version(row, version)
    before = _facts(row)
    if name is not None and name != row.name:
        await _check_free(session, name)
        row.name = name
    row.lane = row.lane if lane is None else checked_lane(lane)
    row.weight = row.weight if weight is None else _checked_weight(weight)
    if before != _facts(row):
        count_change(row)
        record(session, actor, "tenant.update", row.id, tenant_id=row.id, before=before, after=_facts(row))
    await session.flush()
    return _info(row)


async def delete_tenant(
    session: AsyncSession, actor: Actor, name_or_id: str, *, version: int | None = None
) -> TenantInfo:
    """Forget a tenant with its keys, rules, aliases and its own operators. What it used and the audit log stay.

    Requests that are in flight are finished and billed; the next ones are refused.
    """
    await begin_change(session)
    row = await tenant_row(session, name_or_id)
    check_version(row, version)
    before = _facts(row) | {
        "keys": [key.id for key in await queries.keys(session, row.id)],
        "operators": list(await queries.operators_of(session, row.id)),
    }
    await session.delete(row)  # the database takes along whatever belongs to it
    record(session, actor, "tenant.delete", row.id, tenant_id=row.id, before=before)
    await session.flush()
    return _info(row)


async def list_tenants(
    session: AsyncSession, *, after: str = "", limit: int | None = None, like: str = ""
) -> Sequence[TenantInfo]:
    """Tenants by name: all of them, or so many of those behind the name `after`.

    `like` is a part of their names, in letters of either case, or an id.
    """
    part = known_spelling(like)
    if part is None:
        return []
    return [_info(row) for row in await queries.tenants(session, after=after, limit=limit, like=part)]


async def find_tenant(session: AsyncSession, name_or_id: str) -> TenantInfo:
    """The tenant of this name or id, else `NotFound`."""
    return _info(await tenant_row(session, name_or_id))


async def tenant_names(session: AsyncSession, ids: Iterable[str]) -> Mapping[str, str]:
    """The names of those tenants that there are, by id."""
    return await queries.tenant_names(session, tuple(set(ids)))


async def suspend_tenant(
    session: AsyncSession, actor: Actor, name_or_id: str, *, version: int | None = None
) -> TenantInfo:
    """Refuse all of the tenant's requests from now on. Again: nothing changes."""
    return await _set_suspended(session, actor, name_or_id, version, suspended=True)


async def resume_tenant(
    session: AsyncSession, actor: Actor, name_or_id: str, *, version: int | None = None
) -> TenantInfo:
    """Serve the tenant again."""
    return await _set_suspended(session, actor, name_or_id, version, suspended=False)


async def tenant_row(session: AsyncSession, name_or_id: str) -> Tenant:
    """The row itself, for the services beside this one."""
    name = known_spelling(name_or_id)
    row = None if name is None else await queries.tenant(session, name)
    if row is None:
        raise no_tenant(name_or_id)
    return row


def no_tenant(name_or_id: str) -> NotFound:
    """The error for a tenant that does not exist, or not for whoever asks."""
    return NotFound(f"No tenant is called {name_or_id!r}; see: shoal tenant list.", param="tenant")


def checked_lane(text: str) -> Lane:
    """A lane by its name."""
    for lane in LANES:
        if lane == text:
            return lane
    raise RequestError(f"{text!r} is no lane; use {' or '.join(LANES)}.", param="lane")


async def _set_suspended(
    session: AsyncSession, actor: Actor, name_or_id: str, version: int | None, *, suspended: bool
) -> TenantInfo:
    await begin_change(session)
    row = await tenant_row(session, name_or_id)
    check_version(row, version)
    before = row.suspended_at is not None
    if before != suspended:
        row.suspended_at = datetime.now(UTC) if suspended else None
        count_change(row)
        action = "tenant.suspend" if suspended else "tenant.resume"
        was, now = {"suspended": before}, {"suspended": suspended}
        record(session, actor, action, row.id, tenant_id=row.id, before=was, after=now)
        await session.flush()
    return _info(row)


async def _check_free(session: AsyncSession, name: str) -> None:
    if await queries.tenant(session, name) is not None:
        raise Conflict(f"There is already a tenant called '{name}'.", param="name")


def _checked_weight(weight: float) -> float:
    if not LEAST_WEIGHT <= weight <= MOST_WEIGHT:  # nor is a NaN
        raise RequestError(f"{weight:g} is no weight; use {LEAST_WEIGHT:g} to {MOST_WEIGHT:g}.", param="weight")
    return float(weight)


def _facts(row: Tenant) -> dict[str, object]:
    return {"name": row.name, "lane": row.lane, "weight": row.weight}


def _info(row: Tenant) -> TenantInfo:
    return TenantInfo(
        id=row.id,
        name=row.name,
        suspended_at=row.suspended_at,
        lane=checked_lane(row.lane),
        weight=row.weight,
        version=row.version,
        created_at=row.created_at,
    )
