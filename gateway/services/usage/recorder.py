"""Usage: one record per served request, on disk before the answer leaves, in the database soon and there once only.

`record` appends to the spool (spool.py). A background task moves what is in it to the database (ledger.py), and what
processes left that died; while the database is away it waits on disk, up to a limit past which `check_room` refuses
whatever would have to be billed. What was refused, and when keys were last used, is worth less: it waits in memory.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Self

import structlog

from gateway.db.errors import DatabaseUnusable
from gateway.db.session import Database
from gateway.db.usage_rows import touch_keys
from gateway.services.periodic import Periodic
from gateway.services.snapshot.entries import KeyEntry
from gateway.services.usage.event import UsageEvent, packed
from gateway.services.usage.ledger import HourKey, enter_refused, hour_of
from gateway.services.usage.minutes import forget_old_minutes
from gateway.services.usage.shipping import ship, ship_abandoned
from gateway.services.usage.spool import NoRoom, Spool

__all__ = ["UsageEvent", "UsageRecorder"]

log = structlog.get_logger(__name__)

KEEP_INTERVAL = 0.1
"""Seconds of records that a machine may lose which loses its power; a process that dies loses none."""
KEY_USE_INTERVAL = 60.0
"""Seconds between two writes of when keys were last used."""
ADOPTION_INTERVAL = 5.0
"""Seconds between two looks for what processes left that died."""


class UsageRecorder:
    """Takes events, and brings them to the database. `close` brings what is left, or leaves it for the next start."""

    def __init__(
        self, database: Database, spool: Spool | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.failures = 0
        """Flushes that failed, ever."""
        self._database = database
        self._spool = spool or Spool.temporary()
        self._clock = clock
        self._oldest: datetime | None = None
        self._refused: dict[HourKey, tuple[str, int]] = {}
        self._uses: dict[str, datetime] = {}
        self._uses_due = clock() + KEY_USE_INTERVAL
        self._adoption_due = clock()
        self._one_at_a_time = asyncio.Lock()
        self._background: list[Periodic] = []
        self._away = False

    @classmethod
    def open(cls, database: Database, interval: float, spool: Spool | None = None) -> Self:
        """Flush every `interval` seconds from now on. The spool is closed with the recorder."""
        recorder = cls(database, spool)
        recorder._background = [
            Periodic(recorder._flush_what_is_due, interval, "usage flusher"),
            Periodic(recorder._keep, KEEP_INTERVAL, "usage spool"),
        ]
        return recorder

    @property
    def waiting(self) -> int:
        """Records that the database does not have yet."""
        return self._spool.waiting

    @property
    def spool_bytes(self) -> int:
        """Their size."""
        return self._spool.waiting_bytes

    @property
    def oldest_seconds(self) -> float:
        """How long the oldest of them has waited; 0 where none does."""
        return max(0.0, (datetime.now(UTC) - self._oldest).total_seconds()) if self._oldest else 0.0

    @property
    def has_room(self) -> bool:
        """Whether one more request can be recorded."""
        return self._spool.has_room

    def check_room(self) -> None:
        """Return if one more request can be recorded, raise NoRoom otherwise."""
        if not self.has_room:
            raise NoRoom

    def record(self, event: UsageEvent) -> None:
        """Keep an event; once this returns it survives the process. Raises NoRoom; then it was not kept."""
        self._spool.append(packed(event))
        if self._oldest is None:
            self._oldest = event.time

    def refused(self, key: KeyEntry, model: str, endpoint: str, lane: str) -> None:
        """Count a request that was refused; `model` is empty where none was found."""
        place = HourKey(key.tenant.id, hour_of(datetime.now(UTC)), key.id, model, endpoint, lane)
        self._refused[place] = key.tenant.name, self._refused.get(place, ("", 0))[1] + 1

    def note_use(self, key_id: str) -> None:
        """Remember that the key was used now; written at most once a minute."""
        self._uses[key_id] = datetime.now(UTC)

    async def flush(self, *, key_uses: bool = True) -> None:
        """Write everything that waits. Raises `DatabaseUnusable` and keeps it where the database is away."""
        async with self._one_at_a_time:
            try:
                await ship(self._database, self._spool, self._note_oldest)
                if not self._spool.waiting:
                    self._oldest = None
                if self._refused:
                    await self._write_refused()
                if key_uses and self._uses:
                    await self._write_uses()
            except Exception:
                self.failures += 1
                raise

    async def close(self) -> None:
        """Stop the background tasks and write what waits; what can not be written is there at the next start."""
        for task in self._background:
            await task.close()
        try:
            await self.flush()
        except Exception as error:  # noqa: BLE001 (whatever it is, the rest must be closed, and it is said)
            folder = str(self._spool.slot)
            log.warning("usage is left for the next start", records=self.waiting, folder=folder, why=_why(error))
        await asyncio.to_thread(self._spool.close)

    async def _keep(self) -> None:
        if self._spool.wants_keeping:
            await asyncio.to_thread(self._spool.keep)

    async def _flush_what_is_due(self) -> None:
        now = self._clock()
        uses_due, adoption_due = now >= self._uses_due, now >= self._adoption_due
        try:
            await self.flush(key_uses=uses_due)
            if adoption_due:
                await ship_abandoned(self._database, self._spool)
            if uses_due:
                await forget_old_minutes(self._database, datetime.now(UTC))
        except Exception as error:  # noqa: BLE001 (whatever it is, the next flush must come, and it is said)
            self._say_away(error)
            return
        self._say_back()
        if uses_due:
            self._uses_due = now + KEY_USE_INTERVAL
        if adoption_due:
            self._adoption_due = now + ADOPTION_INTERVAL

    def _note_oldest(self, moment: datetime) -> None:
        self._oldest = moment

    async def _write_refused(self) -> None:
        refused, self._refused = self._refused, {}
        try:
            await enter_refused(self._database, refused)
        except Exception:
            for place, (name, count) in self._refused.items():
                refused[place] = name, refused.get(place, ("", 0))[1] + count
            self._refused = refused
            raise

    async def _write_uses(self) -> None:
        uses, self._uses = self._uses, {}
        try:
            async with self._database.transaction() as session:
                await touch_keys(session, uses)
        except Exception:
            self._uses = uses | self._uses
            raise

    def _say_away(self, error: Exception) -> None:
        if not self._away:
            log.warning("usage waits: the database is away", records=self.waiting, why=_why(error))
        self._away = True

    def _say_back(self) -> None:
        if self._away:
            log.info("usage is written again")
        self._away = False


def _why(error: Exception) -> str:
    return error.message if isinstance(error, DatabaseUnusable) else repr(error)
