"""Everything of bulk work that is open while a gateway runs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from gateway.services.bulk.bench import Bench
from gateway.services.bulk.storage import FileStorage
from gateway.services.bulk.sweeping import Sweeper
from gateway.services.bulk.worker import BulkWorker

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Bulk:
    """Where files are, who works on batches, and who cleans up."""

    storage: FileStorage
    worker: BulkWorker
    sweeper: Sweeper


@asynccontextmanager
async def open_bulk(bench: Bench) -> AsyncIterator[Bulk]:
    """Work on batches for the length of the block; the storage is closed with it."""
    if not bench.storage.shared and bench.database.file is None:
        log.warning(
            "files and batches are on this machine's disk: other gateways of the same database can not read them, and "
            "leave these batches to this one; name a bucket with --files for all of them"
        )
    worker, sweeper = BulkWorker.open(bench), Sweeper.open(bench.database, bench.storage)
    try:
        yield Bulk(bench.storage, worker, sweeper)
    finally:
        await worker.close()
        await sweeper.close()
        await bench.storage.close()
