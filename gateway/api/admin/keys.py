"""API keys: the credentials of a tenant."""

from datetime import datetime, timedelta
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway.api.admin.lists import Listed, Piece, listed, shown_as
from gateway.api.admin.operation import Ask, operation
from gateway.api.admin.words import Moment, Name
from gateway.services.register import keys, rotation
from gateway.services.register.keys import KeyInfo

Scope = Literal["embeddings", "rerank", "classify", "extract", "models", "batches", "chat"]
Scopes = Annotated[list[Scope], Meta(min_length=1)]


class NewKey(msgspec.Struct, forbid_unknown_fields=True):
    """A key to be made."""

    name: Name = "default"
    expires_at: Moment | None = None
    scopes: Scopes | None = None
    """Null: all."""


class KeyChange(msgspec.Struct, forbid_unknown_fields=True):
    """What to change; what is left out stays. An expiry of null is never, scopes of null are all."""

    name: Name | None = None
    expires_at: Moment | UnsetType | None = UNSET
    scopes: Scopes | UnsetType | None = UNSET


class NewRotation(msgspec.Struct, forbid_unknown_fields=True):
    """How to replace a key."""

    overlap: Annotated[int, Meta(ge=0, le=int(rotation.LONGEST_OVERLAP.total_seconds()))] = 24 * 3600
    """Seconds for which both keys work; 0 ends the old one at once."""
    expires_at: Moment | None = None
    """Of the new key; null: it is given as much time as the old one was."""


class Key(msgspec.Struct, frozen=True):
    """An API key without its secret."""

    id: str
    tenant_id: str
    lineage: str
    """The first key of its line of rotations: all of a line draw from the same limits."""
    name: str
    scopes: tuple[Scope, ...] | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    version: int
    """Counts the changes of it and of its grants and quotas; also the ETag."""


class CreatedKey(msgspec.Struct, frozen=True):
    """A new key with its text, which is in this reply and nowhere else."""

    id: str
    key: str
    tenant_id: str
    name: str
    scopes: tuple[Scope, ...] | None
    expires_at: datetime | None


class Rotation(msgspec.Struct, frozen=True):
    """A new key in the place of another."""

    key: CreatedKey
    old: str
    """The other one's id."""
    old_ends_at: datetime


shown = shown_as(Key)


@operation("POST", "/tenants/{tenant:str}/keys", right="tenant.change", status=201)
async def create_key(ask: Ask, tenant: str, body: NewKey) -> CreatedKey:
    """Make an API key. Its text is in the reply, once; only a hash of it is kept."""
    async with ask.changing() as session:
        made = await keys.create_key(
            session, ask.actor, tenant, name=body.name, expires_at=body.expires_at, scopes=body.scopes
        )
    ask.location = f"/tenants/{made.tenant_id}/keys/{made.id}"
    return shown_as(CreatedKey)(made)


@operation("GET", "/tenants/{tenant:str}/keys", right="tenant.look")
async def list_keys(ask: Ask, tenant: str, query: Piece) -> Listed[Key]:
    """A tenant's keys, oldest first, revoked ones included."""
    async with ask.looking() as session:
        found = await keys.list_keys(session, tenant)
    return listed(found, query, position=_position, shown=shown)


@operation("GET", "/tenants/{tenant:str}/keys/{key:str}", right="tenant.look", tagged=True)
async def show_key(ask: Ask, tenant: str, key: str) -> Key:
    """One key, by its id."""
    async with ask.looking() as session:
        found = await keys.find_key(session, key, tenant=tenant)
    ask.version = found.version
    return shown(found)


@operation("PATCH", "/tenants/{tenant:str}/keys/{key:str}", right="tenant.change", tagged=True, guarded=True)
async def update_key(ask: Ask, tenant: str, key: str, body: KeyChange) -> Key:
    """Change a key's name, expiry or scopes."""
    async with ask.changing() as session:
        found = await keys.update_key(
            session,
            ask.actor,
            key,
            tenant=tenant,
            version=ask.seen,
            name=body.name,
            expires_at=body.expires_at,
            scopes=body.scopes,
        )
    ask.version = found.version
    return shown(found)


@operation("DELETE", "/tenants/{tenant:str}/keys/{key:str}", right="tenant.change", status=204)
async def revoke_key(ask: Ask, tenant: str, key: str) -> None:
    """Refuse a key from now on, for ever. It stays in the list as revoked. Again: nothing changes."""
    async with ask.changing() as session:
        await keys.revoke_key(session, ask.actor, key, tenant=tenant, version=ask.seen)


@operation("POST", "/tenants/{tenant:str}/keys/{key:str}/rotation", right="tenant.change", status=201)
async def rotate_key(ask: Ask, tenant: str, key: str, body: NewRotation) -> Rotation:
    """Replace a key by a new one of the same rules and limits. Its text is in the reply, once."""
    async with ask.changing() as session:
        made = await rotation.rotate_key(
            session,
            ask.actor,
            key,
            overlap=timedelta(seconds=body.overlap),
            expires_at=body.expires_at,
            tenant=tenant,
            version=ask.seen,
        )
    ask.location = f"/tenants/{made.key.tenant_id}/keys/{made.key.id}"
    return shown_as(Rotation)(made)


def _position(key: KeyInfo) -> str:
    return f"{key.created_at.isoformat(timespec='microseconds')} {key.id}"


OPERATIONS = (create_key, list_keys, show_key, update_key, revoke_key, rotate_key)
