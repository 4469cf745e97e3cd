"""Rotation: a new API key takes the place of one in use, and for a while both work.

The new key has the old one's name, scopes, grants and limits, and is of its lineage: both draw from the same limits, so
that a rotation doubles nothing.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db import queries
from gateway.db.tables import ApiKey, ModelGrant, QuotaRule
from gateway.errors import Conflict, RequestError
from gateway.services.register.audit import Actor, begin_change, record
from gateway.services.register.keys import CreatedKey, check_expiry, key_row, new_key, parse_duration
from gateway.services.register.versions import check_version, count_change

LONGEST_OVERLAP = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Rotation:
    """A new key, and when the old one ends."""

    key: CreatedKey
    old: str
    """Its id."""
    old_ends_at: datetime


def parse_overlap(text: str) -> timedelta:
    """For how long two keys work: `24h`, `7d`, or `0`."""
    return timedelta(0) if text == "0" else parse_duration(text, "overlap")


async def rotate_key(
    session: AsyncSession,
    actor: Actor,
    key: str,
    *,
    overlap: timedelta,
    expires_at: datetime | None = None,
    tenant: str | None = None,
    version: int | None = None,
) -> Rotation:
    """Make a key in the place of `key`, which ends `overlap` from now or when it would have; without overlap, at once.

    The new one ends at `expires_at`; without it, it is given as much time as the old one was given, for ever if so.
    With a `tenant`, a key of another one is not found. `version` is the old key's, as the caller saw it.
    """
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise RequestError(f"Both keys may work for 0 to {LONGEST_OVERLAP.days} days.", param="overlap")
    check_expiry(expires_at)
    await begin_change(session)
    old, now = await key_row(session, key, tenant), datetime.now(UTC)
    check_version(old, version)
    if old.revoked_at is not None or (old.expires_at is not None and old.expires_at <= now):
        raise Conflict(f"The API key {old.id} has ended; create another one.", param="key")
    if expires_at is None and old.expires_at is not None:
        expires_at = now + (old.expires_at - old.created_at)
    row, created = new_key(old.tenant_id, name=old.name, scopes=old.scopes, expires_at=expires_at, lineage=old.lineage)
    session.add(row)
    await session.flush()  # its rules point at it
    await _copy_rules(session, old, row.id)
    record(
        session, actor, "key.create", row.id, tenant_id=old.tenant_id, after={"name": row.name, "in_place_of": old.id}
    )
    ends_at = _end(old, now, overlap)
    count_change(old)
    after = {"ends_at": ends_at.isoformat(), "by": row.id}
    record(session, actor, "key.rotate", old.id, tenant_id=old.tenant_id, after=after)
    await session.flush()
    return Rotation(created, old.id, ends_at)


def _end(old: ApiKey, now: datetime, overlap: timedelta) -> datetime:
    if not overlap:
        old.revoked_at = now
        return now
    old.expires_at = now + overlap if old.expires_at is None else min(old.expires_at, now + overlap)
    return old.expires_at


async def _copy_rules(session: AsyncSession, old: ApiKey, new: str) -> None:
    tenant_id = old.tenant_id
    for grant in await queries.grants(session, tenant_id):
        if grant.key_id == old.id:
            session.add(ModelGrant(tenant_id=tenant_id, key_id=new, pattern=grant.pattern, deny=grant.deny))
    for rule in await queries.quota_rules(session, tenant_id):
        if rule.key_id == old.id:
            copied = rule.model_dump(include={"model_pattern", "kind", "amount"})
            session.add(QuotaRule(tenant_id=tenant_id, key_id=new, **copied))
