"""Deletes the bytes of files that nobody may see any more, and what belonged to tenants that are gone."""

from datetime import timedelta
from typing import Self

import structlog

from gateway.db import bulk_rows
from gateway.db.session import Database
from gateway.errors import Unavailable
from gateway.services.bulk.results import lifetime_of
from gateway.services.bulk.storage import FileStorage
from gateway.services.periodic import Periodic

INTERVAL = 30.0
AT_ONCE = 100
ABANDONED = timedelta(hours=1)
"""Behind its end, after which a batch that nobody could work on is taken to have expired."""
NEVER_SHOWN = timedelta(days=1)
"""After which a gateway that took a file and did not show it is taken to have died; it can not show it then."""
REMEMBERED = timedelta(days=90)
"""For which a batch that has ended can be looked up."""

log = structlog.get_logger(__name__)


class Sweeper:
    """Looks from time to time, or when told that there is something. Any number of gateways may do so."""

    def __init__(self, database: Database, storage: FileStorage) -> None:
        self._database = database
        self._storage = storage
        self._looking: Periodic | None = None

    @classmethod
    def open(cls, database: Database, storage: FileStorage, interval: float = INTERVAL) -> Self:
        """Look every `interval` seconds from now on."""
        sweeper = cls(database, storage)
        sweeper._looking = Periodic(sweeper._look, interval, "files")
        return sweeper

    def hurry(self) -> None:
        """Look now."""
        if self._looking is not None:
            self._looking.hurry()

    async def close(self) -> None:
        """Stop looking."""
        if self._looking is not None:
            await self._looking.close()

    async def sweep(self) -> int:
        """Delete all that is to be deleted; how many files that were. Raises Unavailable."""
        async with self._database.transaction() as session:
            moment = await bulk_rows.now(session)
            await bulk_rows.delete_ownerless_batches(session)
            await bulk_rows.delete_ended_batches(session, moment - REMEMBERED)
            await bulk_rows.give_up_uploads(session, moment - NEVER_SHOWN, moment)
            for batch in await bulk_rows.abandoned(session, moment - ABANDONED, moment, limit=AT_ONCE):
                batch.status, batch.ended_at, batch.worker = "expired", moment, None
                await bulk_rows.end_results(session, batch, moment, lifetime_of(batch))
        deleted = 0
        while some := await self._sweep_some():
            deleted += some
        await self._storage.tidy()
        return deleted

    async def _sweep_some(self) -> int:
        async with self._database.reading() as session:
            moment = await bulk_rows.now(session)
            files = await bulk_rows.doomed_files(session, self._storage.id, moment, limit=AT_ONCE)
        for file in files:  # first their bytes: a row that is left is found again, an object would never be
            await self._storage.delete(await self._storage.keys(file.id))
        if files:
            async with self._database.transaction() as session:
                await bulk_rows.delete_files(session, [file.id for file in files])
        return len(files)

    async def _look(self) -> None:
        try:
            if deleted := await self.sweep():
                log.info("files are deleted", files=deleted)
        except Unavailable as error:
            log.debug("files are not deleted now", why=error.message)
        except Exception:
            log.exception("files were not deleted")
