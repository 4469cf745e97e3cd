"""What was used: each request, and sums of it by hour, day, month and year."""

from datetime import date, datetime
from typing import ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, Index, text
from sqlmodel import Field

from gateway.db.tables.base import Row, UtcDateTime


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
