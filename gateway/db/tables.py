"""The rows: what the database holds, one class per table. They never leave the services, and they do not validate."""

from datetime import UTC, date, datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    ForeignKeyConstraint,
    Index,
    MetaData,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import registry
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel

NAMES = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ix": "ix_%(table_name)s_%(column_0_name)s",
}
"""Every constraint has the same name on every database, so that a migration can name it."""


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC on every database; SQLite itself keeps no zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times: nobody knows what they mean."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 (SQLAlchemy's signature)
        """Give back an aware time."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Row(SQLModel, registry=registry(metadata=MetaData(naming_convention=NAMES))):
    """What all rows share: one catalogue of tables, `Row.metadata`."""


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


class Operator(Row, table=True):
    """A person who signs in to the console; one with a tenant sees that tenant and nothing else."""

    __tablename__: ClassVar[str] = "operator"

    name: str = Field(primary_key=True)
    password_hash: str
    role: str
    tenant_id: str | None = Field(default=None, foreign_key="tenant.id", ondelete="CASCADE")
    version: int = 1
    created_at: datetime = Field(sa_type=UtcDateTime)
    subject: str | None = Field(default=None, index=True, unique=True)
    """Who it is at the provider where they sign in; None: they have a password here."""


class OperatorToken(Row, table=True):
    """A credential with which a program acts for an operator, with that operator's role at most."""

    __tablename__: ClassVar[str] = "operator_token"

    id: str = Field(primary_key=True)
    operator: str = Field(foreign_key="operator.name", ondelete="CASCADE", index=True)
    name: str
    secret_sha256: bytes
    read_only: bool = False
    created_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class ConsoleSession(Row, table=True):
    """An operator's session at the console, while it lasts: without its row no gateway accepts it."""

    __tablename__: ClassVar[str] = "console_session"

    id: str = Field(primary_key=True)
    operator: str = Field(foreign_key="operator.name", ondelete="CASCADE", index=True)
    started_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime, index=True)
    address: str
    """Where it was begun from."""
    agent: str
    """By what, in the browser's own words."""


class SignInTry(Row, table=True):
    """How much one source of sign-ins has tried. `subject` is a keyed hash: people type passwords for names."""

    __tablename__: ClassVar[str] = "sign_in_try"

    subject: bytes = Field(primary_key=True)
    drained_at: float = Field(index=True)


class UsageRecord(Row, table=True):
    """One served request. No foreign keys: what was used outlives the tenant, the key and the model."""

    __tablename__: ClassVar[str] = "usage_record"
    __table_args__ = (Index("ix_usage_record_tenant_time", "tenant_id", "time", "id"),)

    id: UUID = Field(primary_key=True)
    time: datetime = Field(sa_type=UtcDateTime)
    tenant_id: str
    tenant_name: str
    key_id: str
    model: str
    revision: str | None = None
    endpoint: str
    lane: str
    status: int
    inputs: int
    tokens: int = Field(sa_type=BigInteger)
    bytes_in: int = Field(sa_type=BigInteger)
    bytes_out: int = Field(default=0, sa_type=BigInteger)
    latency_ms: float
    upstream_ms: float = 0.0
    request_id: str = ""


class Counted(Row):
    """What requests came to, added up."""

    requests: int = Field(default=0, sa_type=BigInteger)
    failed: int = Field(default=0, sa_type=BigInteger)
    refused: int = Field(default=0, sa_type=BigInteger)
    inputs: int = Field(default=0, sa_type=BigInteger)
    tokens: int = Field(default=0, sa_type=BigInteger)
    bytes_in: int = Field(default=0, sa_type=BigInteger)
    bytes_out: int = Field(default=0, sa_type=BigInteger)
    latency_ms: float = 0.0
    upstream_ms: float = 0.0


class UsageHour(Counted, table=True):
    """What a tenant's key used of a model in one hour, summed. Grows with use, not with requests, and is kept."""

    __tablename__: ClassVar[str] = "usage_hour"
    __table_args__ = (
        Index("ix_usage_hour_refused", "hour", sqlite_where=text("refused > 0"), postgresql_where=text("refused > 0")),
    )

    tenant_id: str = Field(primary_key=True)
    hour: datetime = Field(primary_key=True, sa_type=UtcDateTime)
    key_id: str = Field(primary_key=True)
    model: str = Field(primary_key=True)
    endpoint: str = Field(primary_key=True)
    lane: str = Field(primary_key=True)
    tenant_name: str


class UsageDay(Counted, table=True):
    """The same in one day (UTC), over endpoints and lanes: what long times are read from."""

    __tablename__: ClassVar[str] = "usage_day"
    __table_args__ = (
        Index("ix_usage_day_day", "day", "tenant_id", "key_id", "model"),
        {"sqlite_with_rowid": False},  # rows of a tenant lie together
    )

    tenant_id: str = Field(primary_key=True)
    day: date = Field(primary_key=True)
    key_id: str = Field(primary_key=True)
    model: str = Field(primary_key=True)
    tenant_name: str


class UsageTotal(Counted, table=True):
    """What all tenants used together: of kind `day` in a day, of `model`, `tenant` and `key` each in a month.

    Of `year_model`, `year_tenant` and `year_key` each in a year.
    """

    __tablename__: ClassVar[str] = "usage_total"
    __table_args__ = ({"sqlite_with_rowid": False},)

    kind: str = Field(primary_key=True)
    start: date = Field(primary_key=True)
    name: str = Field(primary_key=True)
    """The model, the id of the tenant, or both ids of a tenant's key as `tenant/key`; of a day nothing.

    In a year a tenant has a row for each name that it had, as `tenant/name`, so that it is found by all of them.
    """
    owner: str | None = None
    """The tenant's id, where it is one's."""
    owner_name: str = ""


class UsageMinute(Row, table=True):
    """What was asked for in one of the last minutes, over all tenants, and took about as long; soon deleted."""

    __tablename__: ClassVar[str] = "usage_minute"

    minute: datetime = Field(primary_key=True, sa_type=UtcDateTime)
    lane: str = Field(primary_key=True)
    bucket: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    requests: int = Field(default=0, sa_type=BigInteger)
    failed: int = Field(default=0, sa_type=BigInteger)
    refused: int = Field(default=0, sa_type=BigInteger)
    inputs: int = Field(default=0, sa_type=BigInteger)
    tokens: int = Field(default=0, sa_type=BigInteger)
    latency_ms: float = 0.0
    upstream_ms: float = 0.0


class BudgetNotice(Row, table=True):
    """That a monthly budget passed a share of its amount: said once a month, whichever gateway saw it first."""

    __tablename__: ClassVar[str] = "budget_notice"
    __table_args__ = (Index("ix_budget_notice_month", "month", "percent", "time"),)

    subject: str = Field(primary_key=True)
    model_pattern: str = Field(primary_key=True)
    month: str = Field(primary_key=True)
    percent: int = Field(primary_key=True)
    tenant_id: str = Field(index=True)
    amount: int = Field(sa_type=BigInteger)
    time: datetime = Field(sa_type=UtcDateTime)


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


class File(Row, table=True):
    """What a tenant uploaded for a batch, or a batch wrote. No foreign key: its bytes must go before its row."""

    __tablename__: ClassVar[str] = "file"
    __table_args__ = (Index("ix_file_tenant_id", "tenant_id", "created_at", "id"),)

    id: str = Field(primary_key=True)
    tenant_id: str
    purpose: str
    filename: str
    bytes: int = Field(default=0, sa_type=BigInteger)
    storage: str
    ready: bool = True
    created_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime, index=True)
    deleted_at: datetime | None = Field(default=None, sa_type=UtcDateTime, index=True)


class FilePart(Row, table=True):
    """A piece of a file: an object of its storage. The pieces in order are the file."""

    __tablename__: ClassVar[str] = "file_part"

    file_id: str = Field(primary_key=True, foreign_key="file.id", ondelete="CASCADE")
    number: int = Field(primary_key=True)
    key: str
    bytes: int = Field(sa_type=BigInteger)


class Batch(Row, table=True):
    """Many requests of one file: how its tenant sees it, how far it has come, and who works on it."""

    __tablename__: ClassVar[str] = "batch"
    __table_args__ = (Index("ix_batch_tenant_id", "tenant_id", "created_at", "id"),)

    id: str = Field(primary_key=True)
    tenant_id: str
    key_id: str
    endpoint: str
    completion_window: str
    input_file_id: str = Field(index=True)
    storage: str
    labels: dict[str, Any] | None = Field(default=None, sa_type=JSON(none_as_null=True))
    output_lifetime: int | None = None
    status: str = Field(index=True)
    model: str | None = None
    errors: list[Any] | None = Field(default=None, sa_type=JSON(none_as_null=True))
    output_file_id: str
    error_file_id: str
    created_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    in_progress_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    finalizing_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    cancelling_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    total: int = 0
    completed: int = 0
    failed: int = 0
    tokens: int = Field(default=0, sa_type=BigInteger)
    chunks: int = 0
    line: int = 0
    position: int = Field(default=0, sa_type=BigInteger)
    worker: str | None = None
    lease_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
