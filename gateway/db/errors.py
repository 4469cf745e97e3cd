"""Why the database can not be used: one typed error per cause, one sentence each, fit for a terminal and for a 503.

DatabaseUnusable            503
├── DatabaseAddressInvalid       the URL itself is wrong
├── DatabaseUnreachable          no server, no such folder, wrong credentials
├── DatabaseReadOnly             it can be read but not written
├── DatabaseCorrupt              not a database, or a damaged one
├── DatabaseBusy                 another process holds the write lock for too long
├── DatabaseNotMigrated          the tables are missing or older than this program
└── DatabaseTooNew               written by a newer version of this program
"""

from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from gateway.errors import Unavailable


class DatabaseUnusable(Unavailable):
    """The database can not be used now."""


class DatabaseAddressInvalid(DatabaseUnusable):
    """The database's URL can not be understood."""


class DatabaseUnreachable(DatabaseUnusable):
    """Nothing answers at the database's address, or it does not let this program in."""


class DatabaseReadOnly(DatabaseUnusable):
    """The database may be read, not written."""


class DatabaseCorrupt(DatabaseUnusable):
    """The file is no database, or a damaged one."""


class DatabaseBusy(DatabaseUnusable):
    """Another process kept the database locked for longer than this one waits."""


class DatabaseNotMigrated(DatabaseUnusable):
    """The tables that this program needs are not all there."""


class DatabaseTooNew(DatabaseUnusable):
    """The tables belong to a newer version of this program."""


def place(url: URL) -> str:
    """Where a database is, for people: the file, or the address without its password."""
    if url.get_backend_name() == "sqlite":
        return str(url.database or ":memory:")
    return url.set(drivername=url.get_backend_name(), query={}).render_as_string(hide_password=True)


_SYMPTOMS: tuple[tuple[tuple[str, ...], type[DatabaseUnusable], str], ...] = (
    (
        ("file is not a database", "malformed"),
        DatabaseCorrupt,
        "The database {place} is damaged or none at all; restore a backup, or move the file away and start afresh.",
    ),
    (
        ("readonly database", "read-only transaction", "permission denied for"),
        DatabaseReadOnly,
        "The database {place} can not be written; check who owns it and what this user may do there.",
    ),
    (
        ("no such table", "no such column", "does not exist"),
        DatabaseNotMigrated,
        "The database {place} is not set up for this version; run: shoal migrate.",
    ),
    (
        ("database is locked", "database table is locked"),
        DatabaseBusy,
        "The database {place} is locked by another process; try again in a moment.",
    ),
    (
        ("unable to open database file",),
        DatabaseUnreachable,
        "The database {place} can not be opened; check that its folder exists and that this user may write there.",
    ),
    (
        ("disk is full", "no space left"),
        DatabaseUnusable,
        "There is no space left for the database {place}; free some and try again.",
    ),
    (("disk i/o error",), DatabaseUnusable, "The disk under the database {place} reports errors."),
)


def explain(error: Exception, url: URL) -> DatabaseUnusable | None:
    """What a failure of the driver means, or None where it says nothing about the database as a whole."""
    if isinstance(error, DBAPIError):
        cause, broken = error.orig, error.connection_invalidated
    elif isinstance(error, OSError | TimeoutError) or type(error).__module__.startswith("asyncpg"):
        cause, broken = error, True  # raised while connecting: SQLAlchemy wraps only what comes later
    else:
        return None
    if url.get_backend_name() != "sqlite" and (broken or "connection" in str(cause).lower()):
        return DatabaseUnreachable(f"The database {place(url)} can not be reached: {_first_line(cause)}.")
    said = str(cause).lower()
    for phrases, kind, text in _SYMPTOMS:
        if any(phrase in said for phrase in phrases):
            return kind(text.format(place=place(url)))
    return None


def _first_line(error: BaseException | None) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".")
