"""Tenants: the customers of this installation."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from gateway.api.admin.lists import Listed, Piece, first, shown_as
from gateway.api.admin.operation import Ask, operation
from gateway.api.admin.words import Name
from gateway.engine_client import Lane
from gateway.services.register import tenants
from gateway.services.register.tenants import LEAST_WEIGHT, MOST_WEIGHT

Weight = Annotated[float, Meta(ge=LEAST_WEIGHT, le=MOST_WEIGHT)]


class NewTenant(msgspec.Struct, forbid_unknown_fields=True):
    """A tenant to be made."""

    name: Name
    lane: Lane = "interactive"
    weight: Weight = 1.0


class TenantChange(msgspec.Struct, forbid_unknown_fields=True):
    """What to change; what is left out stays."""

    name: Name | None = None
    lane: Lane | None = None
    weight: Weight | None = None


class Tenant(msgspec.Struct, frozen=True):
    """A customer."""

    id: str
    name: str
    lane: Lane
    """`bulk`: all of its requests wait there."""
    weight: float
    """Its share of a node beside that of other tenants."""
    suspended_at: datetime | None
    created_at: datetime
    version: int
    """Counts the changes of it and of its grants, quotas and aliases; also the ETag."""


shown = shown_as(Tenant)


@operation("POST", "/tenants", right="fleet.change", status=201, tagged=True)
async def create_tenant(ask: Ask, body: NewTenant) -> Tenant:
    """Make a tenant. It may use nothing until it has a key and is granted models."""
    async with ask.changing() as session:
        made = await tenants.create_tenant(session, ask.actor, body.name, lane=body.lane, weight=body.weight)
    ask.version, ask.location = made.version, f"/tenants/{made.id}"
    return shown(made)


@operation("GET", "/tenants", right="fleet.look")
async def list_tenants(ask: Ask, query: Piece) -> Listed[Tenant]:
    """Every tenant, by name."""
    async with ask.looking() as session:
        found = await tenants.list_tenants(session, after=query.after, limit=query.limit + 1)
    return first(found, query.limit, position=lambda tenant: tenant.name, shown=shown)


@operation("GET", "/tenants/{tenant:str}", right="tenant.look", tagged=True)
async def show_tenant(ask: Ask, tenant: str) -> Tenant:
    """One tenant, by id or name. A name with a slash can not stand in a path: use the id."""
    async with ask.looking() as session:
        found = await tenants.find_tenant(session, tenant)
    ask.version = found.version
    return shown(found)


@operation("PATCH", "/tenants/{tenant:str}", right="fleet.change", tagged=True, guarded=True)
async def update_tenant(ask: Ask, tenant: str, body: TenantChange) -> Tenant:
    """Rename a tenant, or change its lane or weight."""
    async with ask.changing() as session:
        found = await tenants.update_tenant(
            session, ask.actor, tenant, name=body.name, lane=body.lane, weight=body.weight, version=ask.seen
        )
    ask.version = found.version
    return shown(found)


@operation("DELETE", "/tenants/{tenant:str}", right="fleet.change", status=204)
async def delete_tenant(ask: Ask, tenant: str) -> None:
    """Delete a tenant with its keys, rules, aliases and own operators. Its usage and the audit log stay."""
    async with ask.changing() as session:
        await tenants.delete_tenant(session, ask.actor, tenant, version=ask.seen)


@operation("PUT", "/tenants/{tenant:str}/suspension", right="fleet.change", tagged=True)
async def suspend_tenant(ask: Ask, tenant: str) -> Tenant:
    """Refuse all of a tenant's requests until it is resumed. Again: nothing changes."""
    async with ask.changing() as session:
        found = await tenants.suspend_tenant(session, ask.actor, tenant, version=ask.seen)
    ask.version = found.version
    return shown(found)


@operation("DELETE", "/tenants/{tenant:str}/suspension", right="fleet.change", status=204)
async def resume_tenant(ask: Ask, tenant: str) -> None:
    """Serve a suspended tenant again. One that is served already stays so."""
    async with ask.changing() as session:
        await tenants.resume_tenant(session, ask.actor, tenant, version=ask.seen)


OPERATIONS = (
    create_tenant, list_tenants, show_tenant, update_tenant, delete_tenant, suspend_tenant, resume_tenant,
)  # fmt: skip
