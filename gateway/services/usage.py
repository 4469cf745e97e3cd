"""Usage: one record per served request, kept in memory until the database has it, and there once only.

`record` and `note_use` cost a request nothing but a list and a dict entry. A background task writes; while the database
is away everything waits and is tried again.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Self
from uuid import UUID

import msgspec
import structlog

from gateway.db.errors import DatabaseUnusable
from gateway.db.session import Database
from gateway.db.usage_rows import insert_usage, touch_keys
from gateway.services.ids import uuid7
from gateway.services.periodic import Periodic

log = structlog.get_logger(__name__)

BATCH = 1000
"""Records per transaction."""
KEY_USE_INTERVAL = 60.0
"""Seconds between two writes of when keys were last used."""


class UsageEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One served request: what an invoice or a dispute may ask for."""

    tenant_id: str
    tenant_name: str
    """As it was then."""
    key_id: str
    model: str
    """The registered id, whatever alias the caller used."""
    revision: str | None
    endpoint: str
    """The route, such as `/v1/embeddings`."""
    status: int
    inputs: int
    tokens: int
    """What the model processed."""
    bytes_in: int
    latency_ms: float
    lane: str = "interactive"
    time: datetime = msgspec.field(default_factory=lambda: datetime.now(UTC))
    id: UUID = msgspec.field(default_factory=uuid7)
    """Two events with one id are one."""


class UsageRecorder:
    """Takes events, writes them in batches. `close` writes what is left."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self.failures = 0
        """Flushes that failed, ever."""
        self._database = database
        self._clock = clock
        self._waiting: list[UsageEvent] = []
        self._uses: dict[str, datetime] = {}
        self._uses_due = clock() + KEY_USE_INTERVAL
        self._one_at_a_time = asyncio.Lock()
        self._flushing: Periodic | None = None
        self._away = False

    @classmethod
    def open(cls, database: Database, interval: float) -> Self:
        """Flush every `interval` seconds from now on."""
        recorder = cls(database)
        recorder._flushing = Periodic(recorder._flush_what_is_due, interval, "usage flusher")
        return recorder

    @property
    def waiting(self) -> int:
        """Events that the database does not have yet."""
        return len(self._waiting)

    def record(self, event: UsageEvent) -> None:
        """Take an event; it is written soon."""
        self._waiting.append(event)

    def note_use(self, key_id: str) -> None:
        """Remember that the key was used now; written at most once a minute."""
        self._uses[key_id] = datetime.now(UTC)

    async def flush(self, *, key_uses: bool = True) -> None:
        """Write everything that waits. Raises `DatabaseUnusable` and keeps it where the database is away."""
        async with self._one_at_a_time:
            while self._waiting:
                batch = self._waiting[:BATCH]
                await self._write(batch)
                del self._waiting[: len(batch)]
            if key_uses and self._uses:
                await self._write_uses()

    async def close(self) -> None:
        """Stop the background task and write what waits; what can not be written is said to be lost."""
        if self._flushing is not None:
            await self._flushing.close()
        try:
            await self.flush()
        except Exception as error:
            log.exception("usage is lost: the database is away at the end", records=self.waiting, why=_why(error))

    async def _flush_what_is_due(self) -> None:
        due = self._clock() >= self._uses_due
        try:
            await self.flush(key_uses=due)
        except Exception as error:  # noqa: BLE001 (whatever it is, the next flush must come, and it is said)
            self._say_away(error)
            return
        self._say_back()
        if due:
            self._uses_due = self._clock() + KEY_USE_INTERVAL

    async def _write(self, batch: Sequence[UsageEvent]) -> None:
        try:
            async with self._database.transaction() as session:
                await insert_usage(session, [msgspec.structs.asdict(event) for event in batch])
        except Exception:
            self.failures += 1
            raise

    async def _write_uses(self) -> None:
        uses, self._uses = self._uses, {}
        try:
            async with self._database.transaction() as session:
                await touch_keys(session, uses)
        except Exception:
            self.failures += 1
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
