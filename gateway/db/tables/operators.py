"""Who may sign in, and who has."""

from datetime import datetime
from typing import ClassVar

from sqlmodel import Field

from gateway.db.tables.base import Row, UtcDateTime


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
