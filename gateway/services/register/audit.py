"""Every change of policies leaves who, what, before, after, when and from where, in the change's own transaction.

The log is also the list of what changed at each policy revision: gateways read what an event names, and nothing else.
A change that leaves no event is not followed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db import queries
from gateway.db.queries import EventFilter
from gateway.db.tables import AuditEvent
from gateway.db.wakeups import call

__all__ = ["ALL", "Actor", "AuditEntry", "EventFilter", "begin_change", "list_events", "list_tenant_events", "record"]

CHANNEL: Final = "shoal_policies"
"""Of PostgreSQL's NOTIFY: gateways that listen look at the revision at once."""

ALL: Final = EventFilter()
"""Every event."""

_ROW: Final = "policy revision's row"
_NEXT: Final = "policy revision of this change"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changes something, and from where: an operator and an address, or the command line and a machine."""

    name: str
    origin: str


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One event of the log."""

    id: int
    time: datetime
    actor: str
    origin: str
    action: str
    target: str
    tenant_id: str | None
    """Whose policies it changed; None: not those of one tenant."""
    before: dict[str, Any] | None
    after: dict[str, Any] | None


async def begin_change(session: AsyncSession) -> int:
    """Wait until no other change of policies is under way; the policy revision that this change will have.

    Must come before the first look at what is to be changed: the revision's row is the lock that makes "look, then
    write" safe between processes. It is held until the transaction ends. The revision moves with the first event: a
    change that turns out to change nothing wakes nobody.
    """
    row = await queries.locked_revision(session)
    session.info[_ROW], session.info[_NEXT] = row, row.revision + 1
    await call(session, CHANNEL)
    return row.revision + 1


def record(
    session: AsyncSession,
    actor: Actor,
    action: str,
    target: str,
    *,
    tenant_id: str | None = None,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Write the event; `tenant_id` says whose policies gateways must read again.

    `before` and `after` are plain data without secrets; None: there was, or is, nothing. Without `begin_change` before
    it, the event is one that changes no policies.
    """
    revision = session.info.get(_NEXT)
    event = AuditEvent(
        time=datetime.now(UTC),
        actor=actor.name,
        origin=actor.origin,
        action=action,
        target=target,
        tenant_id=tenant_id,
        revision=revision,
        before=before,
        after=after,
    )
    session.add(event)
    if revision is not None:
        session.info[_ROW].revision = revision


async def list_events(
    session: AsyncSession, *, before: int | None = None, limit: int = 100, only: EventFilter = ALL
) -> Sequence[AuditEntry]:
    """The latest events, newest first; pass the last one's id as `before` for the next page."""
    return [_entry(row) for row in await queries.audit_events(session, only, before=before, limit=limit)]


async def list_tenant_events(
    session: AsyncSession, tenant_id: str, *, before: int | None = None, limit: int = 100, only: EventFilter = ALL
) -> Sequence[AuditEntry]:
    """The latest events of one tenant and what belongs to it, newest first; pages as `list_events`."""
    return [_entry(row) for row in await queries.audit_events_of(session, tenant_id, only, before=before, limit=limit)]


def _entry(row: AuditEvent) -> AuditEntry:
    return AuditEntry(
        id=row.id or 0,
        time=row.time,
        actor=row.actor,
        origin=row.origin,
        action=row.action,
        target=row.target,
        tenant_id=row.tenant_id,
        before=row.before,
        after=row.after,
    )
