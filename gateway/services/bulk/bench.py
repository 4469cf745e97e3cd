"""What those who work on batches share, and how they stand it when the database or the storage is away."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog

from gateway.db.session import Database
from gateway.errors import StorageFull, Unavailable
from gateway.observability import GatewayMetrics
from gateway.services.bulk.allowance import Allowances
from gateway.services.bulk.storage import FileStorage
from gateway.services.bulk.wire import LineWire
from gateway.services.quota.reserving import Quota
from gateway.services.snapshot.entries import PolicySnapshot

LEAST_PAUSE = 0.5
MOST_PAUSE = 10.0
"""Seconds between two tries of what can not be done now."""

log = structlog.get_logger(__name__)
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Bench:
    """What those who work on batches share."""

    database: Database
    storage: FileStorage
    wire: LineWire
    quota: Quota
    allowances: Allowances
    policies: Callable[[], PolicySnapshot]
    metrics: GatewayMetrics
    longest_line: int
    most_stored: int
    """Bytes that the files of one tenant may take together."""


async def firmly(batch_id: str, work: Callable[[], Awaitable[Result]]) -> Result:
    """Do it, again and again while the database or the storage is away."""
    wait = LEAST_PAUSE
    while True:
        try:
            return await work()
        except (Unavailable, StorageFull) as error:
            log.warning("a batch waits", batch=batch_id, why=error.message, seconds=wait)
        await asyncio.sleep(wait)
        wait = min(MOST_PAUSE, 2 * wait)
