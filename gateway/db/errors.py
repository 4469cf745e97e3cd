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
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

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


_UNREACHABLE = "The database {place} can not be reached: {said}."
_READ_ONLY = "The database {place} can not be written; check who owns it and what this user may do there."
_DAMAGED = "The database {place} is damaged or none at all; restore a backup, or move the file away and start afresh."
_NOT_MIGRATED = "The database {place} is not set up for this version; run: shoal migrate."
_LOCKED = "The database {place} is locked by another process; try again in a moment."
_CLOSED = "The database {place} can not be opened; check that its folder exists and that this user may write there."
_FULL = "There is no space left for the database {place}; free some and try again."
_DISK = "The disk under the database {place} reports errors."

_MEANINGS: tuple[tuple[str, type[DatabaseUnusable], str], ...] = (
    # SQLite says the error by name, see sqlite.org/rescode.html
    ("SQLITE_NOTADB", DatabaseCorrupt, _DAMAGED),
    ("SQLITE_CORRUPT", DatabaseCorrupt, _DAMAGED),
    ("SQLITE_READONLY", DatabaseReadOnly, _READ_ONLY),
    ("SQLITE_CANTOPEN", DatabaseUnreachable, _CLOSED),
    ("SQLITE_BUSY", DatabaseBusy, _LOCKED),
    ("SQLITE_LOCKED", DatabaseBusy, _LOCKED),
    ("SQLITE_FULL", DatabaseUnusable, _FULL),
    ("SQLITE_IOERR", DatabaseUnusable, _DISK),
    ("SQLITE_ERROR no such table", DatabaseNotMigrated, _NOT_MIGRATED),
    ("SQLITE_ERROR no such column", DatabaseNotMigrated, _NOT_MIGRATED),
    # PostgreSQL says an SQLSTATE, see appendix A of its manual
    ("08", DatabaseUnreachable, _UNREACHABLE),  # the connection broke
    ("28", DatabaseUnreachable, _UNREACHABLE),  # wrong user or password
    ("3D000", DatabaseUnreachable, _UNREACHABLE),  # no such database
    ("53100", DatabaseUnusable, _FULL),
    ("53", DatabaseUnreachable, _UNREACHABLE),  # too many connections, out of memory
    ("55000", DatabaseUnreachable, _UNREACHABLE),  # not accepting connections
    ("57P", DatabaseUnreachable, _UNREACHABLE),  # starting up or shutting down
    ("25006", DatabaseReadOnly, _READ_ONLY),
    ("42501", DatabaseReadOnly, _READ_ONLY),
    ("42P01", DatabaseNotMigrated, _NOT_MIGRATED),
    ("42703", DatabaseNotMigrated, _NOT_MIGRATED),
    ("XX001", DatabaseCorrupt, _DAMAGED),
    ("XX002", DatabaseCorrupt, _DAMAGED),
)


def explain(error: Exception, url: URL) -> DatabaseUnusable | None:
    """What a failure of the driver means, or None where it says nothing about the database as a whole."""
    broken = False
    cause: BaseException | None = error
    if isinstance(error, DBAPIError):
        cause, broken = error.orig, error.connection_invalidated
    elif isinstance(error, OSError):  # while it connects, the driver passes on what the network says
        broken = True
    else:
        return None
    said = _first_line(cause)
    code = getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None) or ""
    for symptom, kind, text in _MEANINGS:
        if f"{code} {said}".startswith(symptom):
            return kind(text.format(place=place(url), said=said))
    return DatabaseUnreachable(_UNREACHABLE.format(place=place(url), said=said)) if broken else None


def says_bad_data(error: Exception) -> bool:
    """Whether the database refuses what it was given, now and at every other time."""
    if not isinstance(error, DBAPIError):
        return False
    state = getattr(error.orig, "sqlstate", None) or ""
    return isinstance(error, IntegrityError | DataError) or state.startswith(("22", "23"))


def _first_line(error: BaseException | None) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".")
