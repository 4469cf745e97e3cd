"""The audit log: who changed what, when and from where, and how it was before."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from gateway.api.admin.lists import Limit, Listed, first, shown_as
from gateway.api.admin.operation import Ask, operation
from gateway.services.register import audit, tenants
from gateway.services.register.audit import AuditEntry


class LogPiece(msgspec.Struct, forbid_unknown_fields=True):
    """Which part of the log is asked for; newest first."""

    limit: Limit = 100
    after: Annotated[int, Meta(ge=0, le=2**62, description="The `next` of the reply before.")] = 0


class Event(msgspec.Struct, frozen=True):
    """One change."""

    id: int
    time: datetime
    actor: str
    origin: str
    action: str
    target: str
    tenant_id: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None


@operation("GET", "/audit", right="fleet.look")
async def list_events(ask: Ask, query: LogPiece) -> Listed[Event]:
    """Every change, newest first."""
    async with ask.looking() as session:
        found = await audit.list_events(session, before=query.after or None, limit=query.limit + 1)
    return _first(found, query)


@operation("GET", "/tenants/{tenant:str}/audit", right="tenant.look")
async def list_tenant_events(ask: Ask, tenant: str, query: LogPiece) -> Listed[Event]:
    """Every change of one tenant and what belongs to it, newest first."""
    async with ask.looking() as session:
        tenant_id = (await tenants.find_tenant(session, tenant)).id
        found = await audit.list_tenant_events(session, tenant_id, before=query.after or None, limit=query.limit + 1)
    return _first(found, query)


def _first(found: Sequence[AuditEntry], query: LogPiece) -> Listed[Event]:
    return first(found, query.limit, position=lambda event: str(event.id), shown=shown_as(Event))


OPERATIONS = (list_events, list_tenant_events)
