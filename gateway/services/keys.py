"""API keys: `sk-shoal-<id>-<secret>`. The id finds the row; the secret, 256 random bits, is kept as SHA-256 only."""

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db import queries
from gateway.db.tables import ApiKey
from gateway.errors import NotFound, RequestError
from gateway.services.audit import Actor, begin_change, record
from gateway.services.ids import new_id
from gateway.services.names import checked_name
from gateway.services.tenants import tenant_row

KEY_ID = re.compile(r"[a-z0-9]{12}")
KEY = re.compile(r"sk-shoal-([a-z0-9]{12})-([A-Za-z0-9_-]{43})")
DURATION = re.compile(r"([1-9][0-9]{0,4})([hdwy])")
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1), "y": timedelta(days=365)}


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """An API key without its secret."""

    id: str
    tenant_id: str
    name: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    @property
    def masked(self) -> str:
        """What may be shown of the key."""
        return f"sk-shoal-{self.id}-…"

    def state(self, now: datetime) -> str:
        """`active`, `expired` or `revoked`."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """A new API key: the only time that its text exists outside the caller's hands."""

    id: str
    key: str = field(repr=False)
    tenant_id: str
    name: str
    expires_at: datetime | None


async def create_key(
    session: AsyncSession, actor: Actor, tenant: str, *, name: str = "default", expires_at: datetime | None = None
) -> CreatedKey:
    """A new API key of the tenant (its name or id). The text in the reply is not kept anywhere."""
    name = checked_name(name, "key")
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise RequestError("The key would be expired from the start; choose a later time.", param="expires")
    await begin_change(session)
    owner = await tenant_row(session, tenant)
    key_id, secret = new_id(), secrets.token_urlsafe(32)
    session.add(
        ApiKey(
            id=key_id,
            tenant_id=owner.id,
            lineage=key_id,
            name=name,
            secret_sha256=hash_secret(secret),
            created_at=datetime.now(UTC),
            expires_at=expires_at,
        )
    )
    expires = expires_at.isoformat() if expires_at else None
    record(session, actor, "key.create", key_id, after={"tenant": owner.id, "name": name, "expires_at": expires})
    await session.flush()
    return CreatedKey(key_id, f"sk-shoal-{key_id}-{secret}", owner.id, name, expires_at)


async def list_keys(session: AsyncSession, tenant: str) -> Sequence[KeyInfo]:
    """A tenant's API keys, oldest first, revoked ones included."""
    owner = await tenant_row(session, tenant)
    return [_info(row) for row in await queries.keys(session, owner.id)]


async def revoke_key(session: AsyncSession, actor: Actor, key: str, *, tenant: str | None = None) -> KeyInfo:
    """Refuse the key from now on, for ever. `key` is its id, its masked form or the whole key. Again: nothing changes.

    With a `tenant`, a key of another one is not found.
    """
    await begin_change(session)
    row = await key_row(session, key, tenant)
    if row.revoked_at is None:
        row.revoked_at = datetime.now(UTC)
        record(
            session,
            actor,
            "key.revoke",
            row.id,
            before={"revoked": False},
            after={"revoked": True, "tenant": row.tenant_id},
        )
        await session.flush()
    return _info(row)


async def key_row(session: AsyncSession, key: str, tenant: str | None) -> ApiKey:
    """The row itself, for the services beside this one."""
    key_id = key.removeprefix("sk-shoal-").partition("-")[0]
    if KEY_ID.fullmatch(key_id) is None:  # not repeated: it may be a secret that was pasted
        raise NotFound(
            "That is no API key's id, which has 12 letters and digits; see: shoal key list --tenant NAME.", param="key"
        )
    owner = await queries.tenant_of_key(session, key_id) if tenant is None else (await tenant_row(session, tenant)).id
    row = None if owner is None else await queries.key(session, owner, key_id)
    if row is None:
        raise NotFound(f"No API key has the id '{key_id}'; see: shoal key list --tenant NAME.", param="key")
    return row


def parse_key(text: str) -> tuple[str, str] | None:
    """The id and the secret of a key, or None where the text is none."""
    match = KEY.fullmatch(text)
    return (match[1], match[2]) if match else None


def hash_secret(secret: str) -> bytes:
    """What is kept of a secret. A fast hash is enough for 256 random bits: there is nothing to guess."""
    return hashlib.sha256(secret.encode()).digest()


def parse_expiry(text: str, now: datetime) -> datetime:
    """When a key ends: `12h`, `30d`, `2w`, `1y` from now, a date (the key works through that day, UTC) or a time."""
    try:
        if match := DURATION.fullmatch(text):
            return now + int(match[1]) * UNITS[match[2]]
        if DATE.fullmatch(text):
            return datetime.combine(date.fromisoformat(text), time.min, UTC) + timedelta(days=1)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise RequestError(
            f"{text!r} is no expiry: use 12h, 30d, 2w, 1y or a date such as 2027-12-31.", param="expires"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _info(row: ApiKey) -> KeyInfo:
    return KeyInfo(row.id, row.tenant_id, row.name, row.created_at, row.expires_at, row.revoked_at, row.last_used_at)
