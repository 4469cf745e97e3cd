"""INSERT with an answer to conflicts: the same words on SQLite and PostgreSQL, each by its own dialect."""

from collections.abc import Sequence
from functools import cache
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


def adding_to(session: AsyncSession, table: Any, counted: Sequence[str], last: str | None = None) -> Any:
    """INSERT rows of numbers, or add them to those that are there; `last` is a column that takes what came last."""
    return _adding(dialect_of(session), table, tuple(counted), last)


@cache
def _adding(dialect: str, table: Any, counted: Sequence[str], last: str | None) -> Any:
    """Made once: putting it together takes as long as sending it."""
    insert = insert_of(dialect, table)
    changed = {name: table.c[name] + insert.excluded[name] for name in counted}
    if last is not None:
        changed[last] = insert.excluded[last]
    return insert.on_conflict_do_update(index_elements=[column.name for column in table.primary_key], set_=changed)
