"""Who may use what: tenants and their keys, models and upstreams, and the log of every change to them."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlmodel import Field

from gateway.db.tables.base import Row, UtcDateTime


class Tenant(Row, table=True):
    """A customer."""

    __tablename__: ClassVar[str] = "tenant"

    id: str = Field(primary_key=True)
    name: str = Field(unique=True)
    suspended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    lane: str = "interactive"
    weight: float = 1.0
    version: int = 1
    created_at: datetime = Field(sa_type=UtcDateTime)


class ApiKey(Row, table=True):
    """A tenant's credential. The secret is here as its SHA-256 only: a copy of this table opens nothing.

    `lineage` is the id of the first key of a line of rotations: they draw from the same limits.
    """

    __tablename__: ClassVar[str] = "api_key"
    __table_args__ = (UniqueConstraint("tenant_id", "id"),)  # lets grants and rules point at a key of their own tenant

    id: str = Field(primary_key=True)
    tenant_id: str = Field(foreign_key="tenant.id", ondelete="CASCADE")
    lineage: str
    name: str
    secret_sha256: bytes
    scopes: list[str] | None = Field(default=None, sa_type=JSON(none_as_null=True))
    version: int = 1
    created_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


def _of_tenant_or_key(table: str, *what: str) -> tuple[Any, ...]:
    """A rule of a tenant (`key_id` null) or of one of that same tenant's keys; `what` is unique within each."""
    on_tenant, on_key = text("key_id IS NULL"), text("key_id IS NOT NULL")
    return (
        ForeignKeyConstraint(
            ["tenant_id", "key_id"], ["api_key.tenant_id", "api_key.id"], ondelete="CASCADE", name=f"fk_{table}_key_id"
        ),
        Index(
            f"uq_{table}_tenant", "tenant_id", *what, unique=True, sqlite_where=on_tenant, postgresql_where=on_tenant
        ),
        Index(
            f"uq_{table}_key", "tenant_id", "key_id", *what, unique=True, sqlite_where=on_key, postgresql_where=on_key
        ),
        Index(f"ix_{table}_tenant_id", "tenant_id"),  # the other two know of one kind each
    )


class ModelGrant(Row, table=True):
    """A pattern of models that a tenant, or one key of it, may use or must not use."""

    __tablename__: ClassVar[str] = "model_grant"
    __table_args__ = _of_tenant_or_key("model_grant", "pattern")

    id: int | None = Field(default=None, primary_key=True)
    tenant_id: str = Field(foreign_key="tenant.id", ondelete="CASCADE")
    key_id: str | None = None
    pattern: str
    deny: bool = False


class QuotaRule(Row, table=True):
    """How much of one kind a tenant, or one key of it, may use of the models that match."""

    __tablename__: ClassVar[str] = "quota_rule"
    __table_args__ = _of_tenant_or_key("quota_rule", "model_pattern", "kind")

    id: int | None = Field(default=None, primary_key=True)
    tenant_id: str = Field(foreign_key="tenant.id", ondelete="CASCADE")
    key_id: str | None = None
    model_pattern: str
    kind: str
    amount: int = Field(sa_type=BigInteger)


class Model(Row, table=True):
    """A registered model."""

    __tablename__: ClassVar[str] = "model"

    id: str = Field(primary_key=True)
    source: str
    revision: str | None = None
    pool: str
    dtype: str | None = None
    max_tokens: int | None = None
    pinned: bool = False
    dimensions: int | None = None
    input_limit: int | None = None
    facts: dict[str, Any] | None = Field(default=None, sa_type=JSON(none_as_null=True))
    version: int = 1
    created_at: datetime = Field(sa_type=UtcDateTime)


class ModelAlias(Row, table=True):
    """Another name of a model."""

    __tablename__: ClassVar[str] = "model_alias"

    alias: str = Field(primary_key=True)
    model_id: str = Field(foreign_key="model.id", ondelete="CASCADE", index=True)


class TenantAlias(Row, table=True):
    """A name that a model has for one tenant only."""

    __tablename__: ClassVar[str] = "tenant_alias"

    tenant_id: str = Field(primary_key=True, foreign_key="tenant.id", ondelete="CASCADE")
    alias: str = Field(primary_key=True)
    model_id: str = Field(foreign_key="model.id", ondelete="CASCADE", index=True)


class Upstream(Row, table=True):
    """A server that somebody else runs, as a node of a pool. Its credential is encrypted, and bound to the id."""

    __tablename__: ClassVar[str] = "upstream"

    id: str = Field(primary_key=True)
    pool: str = Field(index=True)
    kind: str
    base_url: str
    credential: bytes | None = None
    version: int = 1
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)


class AuditEvent(Row, table=True):
    """Who changed what, from where, and how it was before; also the list of what changed at each policy revision."""

    __tablename__: ClassVar[str] = "audit_event"
    __table_args__ = (Index("ix_audit_event_actor", "actor", "id"),)

    id: int | None = Field(default=None, primary_key=True)
    time: datetime = Field(sa_type=UtcDateTime, index=True)
    actor: str
    origin: str
    action: str
    target: str = Field(index=True)
    tenant_id: str | None = Field(default=None, index=True)
    revision: int | None = Field(default=None, sa_type=BigInteger, index=True)
    before: dict[str, Any] | None = Field(default=None, sa_type=JSON(none_as_null=True))
    after: dict[str, Any] | None = Field(default=None, sa_type=JSON(none_as_null=True))


class PolicyRevision(Row, table=True):
    """One row, counted up by every change of policies in the change's own transaction."""

    __tablename__: ClassVar[str] = "policy_revision"

    id: int = Field(primary_key=True)
    revision: int = Field(sa_type=BigInteger)
