"""Keeps the policy snapshot current: the database is read when its policy revision moves, never by a request.

Every change moves the revision in its own transaction, so every gateway follows any process that wrote: PostgreSQL says
so at once, SQLite when it is looked at, which costs little there and is done more often than every `snapshot_interval`.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Self

import structlog

from gateway.db.errors import DatabaseUnusable
from gateway.db.session import Database
from gateway.db.wakeups import Wakeups, wakeups
from gateway.services.periodic import Periodic
from gateway.services.register.audit import CHANNEL
from gateway.services.snapshot.build import follow_snapshot
from gateway.services.snapshot.entries import PolicySnapshot

log = structlog.get_logger(__name__)

SQLITE_INTERVAL = 0.1
"""Seconds between two looks at SQLite: a key works in the step of a script after the one that made it."""


class SnapshotFeed:
    """The snapshot in force, and the task that follows the database.

    While the database is away the last good snapshot stays: known keys keep working, and changes wait. That is logged
    when it begins and when it ends, and counted.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self.current = PolicySnapshot(revision=-1)
        """The snapshot in force. Take it once per request, so that one request sees one state."""
        self.failures = 0
        """Looks at the database that failed, ever."""
        self._database = database
        self._clock = clock
        self._looked = clock()
        self._away = False
        self._one_at_a_time = asyncio.Lock()
        self._told: list[Callable[[PolicySnapshot], None]] = []
        self._following: Periodic | None = None
        self._wakeups: Wakeups | None = None

    @classmethod
    async def open(cls, database: Database, interval: float) -> Self:
        """Load the first snapshot, or raise; then look at the database every `interval` seconds, or when it calls.

        SQLite, which never calls, is looked at every `SQLITE_INTERVAL` seconds at least.
        """
        feed = cls(database)
        await feed.refresh()
        if database.file is not None:
            interval = min(interval, SQLITE_INTERVAL)
        feed._following = Periodic(feed._follow, interval, "policy snapshot")
        feed._wakeups = wakeups(database, CHANNEL, feed._following.hurry)
        return feed

    @property
    def age(self) -> float:
        """Seconds since the snapshot was last known to be the database's state."""
        return self._clock() - self._looked

    @property
    def away(self) -> bool:
        """Whether the last look at the database failed."""
        return self._away

    async def refresh(self) -> PolicySnapshot:
        """Look at once; raises `DatabaseUnusable` and keeps the old snapshot where that fails."""
        async with self._one_at_a_time:
            looked = self._clock()
            try:
                async with self._database.reading() as session:
                    before, self.current = self.current, await follow_snapshot(session, self.current)
            except Exception:
                self.failures += 1
                raise
            self._looked = looked
            if self.current is not before:
                for told in self._told:
                    told(self.current)
            return self.current

    def tell(self, follower: Callable[[PolicySnapshot], None]) -> None:
        """Call this with every new snapshot, and with the one in force now. It may not fail, and not take long."""
        self._told.append(follower)
        follower(self.current)

    async def close(self) -> None:
        """Stop following."""
        if self._following is not None:  # first: a look that is under way would open again what is closed
            await self._following.close()
        if self._wakeups is not None:
            await self._wakeups.close()

    async def _follow(self) -> None:
        looked = self._clock()
        if not self._away and self._wakeups is not None and not await self._wakeups.anything_changed():
            self._looked = looked
            return
        try:
            await self.refresh()
        except DatabaseUnusable as error:
            self._say_away(error.message)
        except Exception as error:  # noqa: BLE001 (whatever it is, the feed must go on, and it is said)
            self._say_away(repr(error))
        else:
            self._say_back()

    def _say_away(self, why: str) -> None:
        if not self._away:
            log.warning("policies are not followed: the database is away", why=why, age=round(self.age, 1))
        self._away = True

    def _say_back(self) -> None:
        if self._away:
            log.info("policies are followed again", revision=self.current.revision)
        self._away = False
