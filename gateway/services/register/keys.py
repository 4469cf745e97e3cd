"""API keys: `sk-shoal-<id>-<secret>`. The id finds the row; the secret, 256 random bits, is kept as SHA-256 only.

services/register/rotation.py replaces one by another.
"""

import hashlib
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from msgspec import UNSET, UnsetType
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db import fleet_queries, queries
from gateway.db.tables import ApiKey
from gateway.errors import Conflict, NotFound, RequestError
from gateway.services.ids import new_id
from gateway.services.register.audit import Actor, begin_change, record
from gateway.services.register.names import checked_name
from gateway.services.register.tenants import tenant_row
from gateway.services.register.versions import check_version, count_change

SCOPES = ("embeddings", "rerank", "classify", "extract", "models", "batches", "chat")
"""What a key may be kept to: each route names one of these (gateway/auth.py)."""

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
    lineage: str
    """The first key of its line of rotations: those of one line draw from the same limits."""
    name: str
    scopes: tuple[str, ...] | None
    """None: all of them."""
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    version: int
    """Counts the changes of it and of what belongs to it: its grants and limits."""

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
    scopes: tuple[str, ...] | None
    expires_at: datetime | None


async def create_key(
    session: AsyncSession,
    actor: Actor,
    tenant: str,
    *,
    name: str = "default",
    expires_at: datetime | None = None,
    scopes: Sequence[str] | None = None,
) -> CreatedKey:
    """A new API key of the tenant (its name or id). The text in the reply is not kept anywhere."""
    name, scopes = checked_name(name, "key"), _checked_scopes(scopes)
    check_expiry(expires_at)
    await begin_change(session)
    owner = await tenant_row(session, tenant)
    row, created = new_key(owner.id, name=name, scopes=scopes, expires_at=expires_at)
    session.add(row)
    record(session, actor, "key.create", row.id, tenant_id=owner.id, after=_facts(row))
    await session.flush()
    return created


async def update_key(
    session: AsyncSession,
    actor: Actor,
    key: str,
    *,
    tenant: str | None = None,
    version: int | None = None,
    name: str | None = None,
    expires_at: datetime | UnsetType | None = UNSET,
    scopes: Sequence[str] | UnsetType | None = UNSET,
) -> KeyInfo:
    """Change what is given. An `expires_at` of None is never, `scopes` of None all. A revoked key stays as it is.

    With a `tenant`, a key of another one is not found. `version` is the key's, as the caller saw it.
    """
    name = None if name is None else checked_name(name, "key")
    await begin_change(session)
    row = await key_row(session, key, tenant)
    check_version(row, version)
    if row.revoked_at is not None:
        raise Conflict(f"The API key {row.id} is revoked; create another one.", param="key")
    before = _facts(row)
    if name is not None:
        row.name = name
    if expires_at is not UNSET and expires_at != row.expires_at:
        check_expiry(expires_at)
        row.expires_at = expires_at
    if scopes is not UNSET:
        row.scopes = _checked_scopes(scopes)
    if before != _facts(row):
        count_change(row)
        record(session, actor, "key.update", row.id, tenant_id=row.tenant_id, before=before, after=_facts(row))
    await session.flush()
    return _info(row)


async def list_keys(session: AsyncSession, tenant: str) -> Sequence[KeyInfo]:
    """A tenant's API keys, oldest first, revoked ones included."""
    owner = await tenant_row(session, tenant)
    return [_info(row) for row in await queries.keys(session, owner.id)]


async def count_keys(session: AsyncSession, tenant_ids: Iterable[str]) -> Mapping[str, int]:
    """How many keys of each of these tenants work now; those without any are left out."""
    return await fleet_queries.key_counts(session, tuple(tenant_ids), datetime.now(UTC))


async def key_names(session: AsyncSession, ids: Iterable[str]) -> Mapping[str, str]:
    """What keys are called, those that there are, by id: for operators of the fleet."""
    return await fleet_queries.key_names(session, tuple(set(ids)))


async def find_key(session: AsyncSession, key: str, *, tenant: str | None = None) -> KeyInfo:
    """One key, else `NotFound`; with a `tenant`, one of its own."""
    return _info(await key_row(session, key, tenant))


async def revoke_key(
    session: AsyncSession, actor: Actor, key: str, *, tenant: str | None = None, version: int | None = None
) -> KeyInfo:
    """Refuse the key from now on, for ever. `key` is its id, its masked form or the whole key. Again: nothing changes.

    With a `tenant`, a key of another one is not found. `version` is the key's, as the caller saw it.
    """
    await begin_change(session)
    row = await key_row(session, key, tenant)
    check_version(row, version)
    if row.revoked_at is None:
        row.revoked_at = datetime.now(UTC)
        count_change(row)
        was, now = {"revoked": False}, {"revoked": True}
        record(session, actor, "key.revoke", row.id, tenant_id=row.tenant_id, before=was, after=now)
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


def new_key(
    tenant_id: str,
    *,
    name: str,
    scopes: list[str] | None,
    expires_at: datetime | None,
    lineage: str | None = None,
) -> tuple[ApiKey, CreatedKey]:
    """A row with a new secret's hash, and the key that opens it. Without a `lineage` it begins one."""
    key_id, secret = new_id(), secrets.token_urlsafe(32)
    row = ApiKey(
        id=key_id,
        tenant_id=tenant_id,
        lineage=lineage or key_id,
        name=name,
        secret_sha256=hash_secret(secret),
        scopes=scopes,
        created_at=datetime.now(UTC),
        expires_at=expires_at,
    )
    text = f"sk-shoal-{key_id}-{secret}"
    return row, CreatedKey(key_id, text, tenant_id, name, None if scopes is None else tuple(scopes), expires_at)


def check_expiry(expires_at: datetime | None) -> None:
    """Refuse a time that has passed."""
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise RequestError("The key would be expired from the start; choose a later time.", param="expires")


def parse_key(text: str) -> tuple[str, str] | None:
    """The id and the secret of a key, or None where the text is none."""
    match = KEY.fullmatch(text)
    return (match[1], match[2]) if match else None


def hash_secret(secret: str) -> bytes:
    """What is kept of a secret. A fast hash is enough for 256 random bits: there is nothing to guess."""
    return hashlib.sha256(secret.encode()).digest()


def parse_duration(text: str, of: str) -> timedelta:
    """`12h`, `30d`, `2w`, `1y`."""
    match = DURATION.fullmatch(text)
    if match is None:
        raise RequestError(f"{text!r} is no length of time: use 12h, 30d or 2w.", param=of)
    return int(match[1]) * UNITS[match[2]]


def parse_expiry(text: str, now: datetime) -> datetime:
    """When a key ends: `12h`, `30d`, `2w`, `1y` from now, a date (the key works through that day, UTC) or a time."""
    try:
        if DURATION.fullmatch(text):
            return now + parse_duration(text, "expires")
        if DATE.fullmatch(text):
            return datetime.combine(date.fromisoformat(text), time.min, UTC) + timedelta(days=1)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise RequestError(
            f"{text!r} is no expiry: use 12h, 30d, 2w, 1y or a date such as 2027-12-31.", param="expires"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _checked_scopes(scopes: Sequence[str] | None) -> list[str] | None:
    """In the order of `SCOPES`, each once."""
    if scopes is None:
        return None
    if unknown := [scope for scope in scopes if scope not in SCOPES]:
        raise RequestError(f"{unknown[0]!r} is no scope of a key; use {', '.join(SCOPES)}.", param="scopes")
    if not scopes:
        raise RequestError("A key without any scope could do nothing; name one, or none to allow all.", param="scopes")
    return [scope for scope in SCOPES if scope in scopes]


def _facts(row: ApiKey) -> dict[str, object]:
    expires = row.expires_at.isoformat() if row.expires_at else None
    return {"name": row.name, "expires_at": expires, "scopes": row.scopes}


def _info(row: ApiKey) -> KeyInfo:
    return KeyInfo(
        id=row.id,
        tenant_id=row.tenant_id,
        lineage=row.lineage,
        name=row.name,
        scopes=None if row.scopes is None else tuple(row.scopes),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
        version=row.version,
    )
