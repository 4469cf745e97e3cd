"""From a spool into the database: one path for what this process appends and for what others left that died.

At least once from the file, and once in the database, which knows a record by its id. That holds as long as single
records are kept: one that was deleted by age could be billed again if its file came back from a backup.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec
import structlog

from gateway.db.errors import says_bad_data
from gateway.db.session import Database
from gateway.services.usage.backlog import Backlog, Batch
from gateway.services.usage.event import UsageEvent, unpacked
from gateway.services.usage.ledger import enter
from gateway.services.usage.spool import Spool

log = structlog.get_logger(__name__)

BATCH = 250
"""Records per transaction: few enough that requests do not wait for their making, 5 ms."""


async def ship(database: Database, backlog: Backlog, on_batch: Callable[[datetime], None] | None = None) -> None:
    """Move what waits now; what comes meanwhile is for the next time. `on_batch` is told how old the next records are.

    Raises what the database raises, and then leaves the records where they are.
    """
    due = backlog.waiting
    while due > 0 and (batch := await asyncio.to_thread(backlog.read, BATCH)) is not None:
        events = _events(backlog, batch)
        if events and on_batch is not None:
            on_batch(events[0].time)
        await _enter(database, backlog, batch, events)
        await asyncio.to_thread(backlog.release, batch)
        due -= len(batch.found.payloads)


async def ship_abandoned(database: Database, spool: Spool) -> None:
    """Move what lies in slots beside this one that nobody holds."""
    for slot in await asyncio.to_thread(spool.abandoned):
        backlog = await asyncio.to_thread(Backlog.adopt, slot)
        if backlog is None:
            continue
        try:
            if backlog.waiting:
                log.info("usage of a process that is gone is written", folder=str(slot), records=backlog.waiting)
            await ship(database, backlog)
        finally:
            await asyncio.to_thread(backlog.close)


async def _enter(database: Database, backlog: Backlog, batch: Batch, events: Sequence[UsageEvent]) -> None:
    try:
        if events:
            await enter(database, events)
    except Exception as error:
        if not says_bad_data(error):
            raise
        if len(events) == 1:
            backlog.set_aside(batch, repr(error))
            return
        for event in events:
            await _enter(database, backlog, batch, [event])


def _events(backlog: Backlog, batch: Batch) -> list[UsageEvent]:
    events = []
    for payload in batch.found.payloads:
        try:
            events.append(unpacked(payload))
        except msgspec.MsgspecError as error:  # whole, and yet nothing that this version understands
            backlog.set_aside(batch, str(error))
    return events
