"""Every change of policies leaves who, what, before, after, when and from where, in the change's own transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gateway.db import queries
from gateway.db.tables import AuditEvent, PolicyRevision


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
    before: dict[str, Any] | None
    after: dict[str, Any] | None


async def begin_change(session: AsyncSession) -> None:
    """Announce a change of policies to every gateway, and wait until no other change is under way.

    Must come before the first look at what is to be changed: the revision's row is the lock that makes "look, then
    write" safe between processes. It is held until the transaction ends.
    """
    await session.execute(update(PolicyRevision).values(revision=col(PolicyRevision.revision) + 1))


def record(
    session: AsyncSession,
    actor: Actor,
    action: str,
    target: str,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Write the event. `before` and `after` are plain data without secrets; None: there was, or is, nothing."""
    event = AuditEvent(
        time=datetime.now(UTC),
        actor=actor.name,
        origin=actor.origin,
        action=action,
        target=target,
        before=before,
        after=after,
    )
    session.add(event)


async def list_events(session: AsyncSession, *, before: int | None = None, limit: int = 100) -> Sequence[AuditEntry]:
    """The latest events, newest first; pass the last one's id as `before` for the next page."""
    rows = await queries.audit_events(session, before=before, limit=limit)
    return [
        AuditEntry(row.id or 0, row.time, row.actor, row.origin, row.action, row.target, row.before, row.after)
        for row in rows
    ]
