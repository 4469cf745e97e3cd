"""INSERT with an answer to conflicts: the same words on SQLite and PostgreSQL, each by its own dialect."""

from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession


def insert_into(session: AsyncSession, table: Any) -> Any:
    """The dialect's own INSERT into `table`."""
    return insert_of(dialect_of(session), table)


def dialect_of(session: AsyncSession) -> str:
    """The name of the database's kind."""
    return session.get_bind().dialect.name


def insert_of(dialect: str, table: Any) -> Any:
    """The INSERT into `table` of the dialect of this name."""
    return (postgresql.insert if dialect == "postgresql" else sqlite.insert)(table)
