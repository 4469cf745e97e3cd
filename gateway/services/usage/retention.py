"""Single usage records are deleted once they are old enough; their sums per hour stay, and bills are made of these.

Every gateway looks every ten minutes. Several may do so at once: each takes other records, or finds them gone.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Self

import structlog

from gateway.db import usage_queries
from gateway.db.errors import DatabaseUnusable
from gateway.db.session import Database
from gateway.db.usage_rows import delete_usage
from gateway.services.periodic import Periodic

BATCH = 500
"""Records per transaction: SQLite has one writer, which must not keep others waiting."""
INTERVAL = 600.0
PAUSE = 0.02
"""Seconds between two transactions."""

log = structlog.get_logger(__name__)


class Retention:
    """Deletes what is older than `days`."""

    def __init__(
        self, database: Database, days: float, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._database = database
        self._age = timedelta(days=days)
        self._clock = clock
        self._looking: Periodic | None = None

    @classmethod
    def open(cls, database: Database, days: float, interval: float = INTERVAL) -> Self:
        """Look every `interval` seconds from now on."""
        retention = cls(database, days)
        retention._looking = Periodic(retention._look, interval, "usage retention")
        return retention

    async def close(self) -> None:
        """Stop looking."""
        if self._looking is not None:
            await self._looking.close()

    async def delete_old(self) -> int:
        """Delete, in many small transactions; how many records that were. Raises `DatabaseUnusable`."""
        before = self._clock() - self._age
        deleted = 0
        async with self._database.reading() as session:
            tenants = await usage_queries.tenants_with_usage(session)
        for tenant_id in tenants:
            while ids := await self._delete_some(tenant_id, before):
                deleted += ids
                await asyncio.sleep(PAUSE)
        return deleted

    async def _delete_some(self, tenant_id: str, before: datetime) -> int:
        async with self._database.transaction() as session:
            ids = await usage_queries.usage_before(session, tenant_id, before, limit=BATCH)
            if ids:
                await delete_usage(session, tenant_id, ids)
            return len(ids)

    async def _look(self) -> None:
        try:
            deleted = await self.delete_old()
        except DatabaseUnusable:
            return  # the usage recorder says that it is away; the next look comes
        except Exception as error:  # noqa: BLE001 (whatever it is, the next look must come, and it is said)
            log.warning("old usage was not deleted", why=repr(error))
            return
        if deleted:
            log.info("old usage is deleted; its sums stay", records=deleted, days=self._age.days)
