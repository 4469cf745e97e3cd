"""Files, and the batches that read and write them."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, Index
from sqlmodel import Field

from gateway.db.tables.base import Row, UtcDateTime


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
