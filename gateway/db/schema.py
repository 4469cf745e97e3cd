"""The database's version: bring it up to this program's, take it down, or say in one sentence what is in the way."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.engine import URL

from gateway.db.errors import DatabaseNotMigrated, DatabaseTooNew, DatabaseUnreachable, explain, place
from gateway.db.session import create_pool, parse_url

MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x53686F616C  # "Shoal": the advisory lock of PostgreSQL under which one process migrates and others wait


async def upgrade(url: str, revision: str = "head") -> None:
    """Create the tables or bring them up to `revision`. Any number of processes may do so at once.

    Raises a `DatabaseUnusable` that says why it can not be done; then nothing was changed.
    """
    address = parse_url(url)
    _make_folder(address)
    await _migrate(address, lambda config: command.upgrade(config, revision))


async def downgrade(url: str, revision: str = "base") -> None:
    """Go back to an older version of the tables; what only the newer one could hold is lost."""
    await _migrate(parse_url(url), lambda config: command.downgrade(config, revision))


async def check(url: str) -> None:
    """Pass if the database is of this program's version, else raise the `DatabaseUnusable` that says what to do."""
    address = parse_url(url)
    if _is_missing(address):
        raise DatabaseNotMigrated(f"There is no database at {place(address)} yet; run: shoal migrate.")
    async with _connected(address) as run:
        await run(lambda connection: _compare(connection, address))


async def _migrate(url: URL, change: Callable[[Config], None]) -> None:
    def migrate(connection: Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        _refuse_newer(connection, url)
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        change(config)

    async with _connected(url) as run:
        await run(migrate)


@asynccontextmanager
async def _connected(url: URL) -> AsyncIterator[Callable[[Callable[[Connection], None]], Awaitable[None]]]:
    """Run synchronous work in one transaction, with the driver's failures translated."""
    pool = create_pool(url)
    try:
        async with pool.begin() as connection:
            yield connection.run_sync
    except Exception as error:
        if (meaning := explain(error, url)) is None:
            raise
        raise meaning from error
    finally:
        await pool.dispose()


def _compare(connection: Connection, url: URL) -> None:
    if _refuse_newer(connection, url) != _known().get_current_head():
        raise DatabaseNotMigrated(f"The database {place(url)} is not set up for this version; run: shoal migrate.")


def _refuse_newer(connection: Connection, url: URL) -> str | None:
    """The database's revision, if this program knows it."""
    current = MigrationContext.configure(connection).get_current_revision()
    if current is not None and current not in {script.revision for script in _known().walk_revisions()}:
        raise DatabaseTooNew(
            f"The database {place(url)} was written by a newer version of Shoal; use that version or a newer one."
        )
    return current


def _known() -> ScriptDirectory:
    return ScriptDirectory(str(MIGRATIONS))


def _is_missing(url: URL) -> bool:
    """A file that is not there would be made by connecting to it."""
    return url.get_backend_name() == "sqlite" and bool(url.database) and not Path(str(url.database)).exists()


def _make_folder(url: URL) -> None:
    if url.get_backend_name() != "sqlite" or not url.database or url.query.get("uri"):
        return
    folder = Path(url.database).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseUnreachable(f"The folder {folder} can not be made: {error.strerror}.") from error
