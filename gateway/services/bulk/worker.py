"""A gateway's share of the batches: it looks for those that nobody works on, holds them, and brings them to their end.

Any number of gateways may do so. Each takes from the storage that it reaches, and a batch whose gateway died is taken
by another one when its lease has run out (held.py).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Self

import structlog

from gateway import errand
from gateway.db import bulk_rows
from gateway.errors import Unavailable
from gateway.services.bulk.bench import Bench
from gateway.services.bulk.held import LEASE, HeldBatch, LeaseLost
from gateway.services.bulk.run import Run
from gateway.services.periodic import Periodic
from gateway.tracing import UNRECORDED

AT_A_TIME = 4
"""Batches that one process works on."""
LOOK_INTERVAL = 1.0
RENEWALS = 3
"""That may be tried within a lease."""
CLOSE_PATIENCE = 5.0

log = structlog.get_logger(__name__)


class BulkWorker:
    """Works on batches until it is closed; `hurry` where there is a new one."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._running: dict[asyncio.Task[None], str] = {}
        """The tenant of each batch that is worked on."""
        self._looking: Periodic | None = None

    @classmethod
    def open(cls, bench: Bench, interval: float = LOOK_INTERVAL) -> Self:
        """Look every `interval` seconds from now on."""
        worker = cls(bench)
        worker._looking = Periodic(worker._look, interval, "batches")
        return worker

    def hurry(self) -> None:
        """Look now."""
        if self._looking is not None:
            self._looking.hurry()

    async def close(self) -> None:
        """Stop where we are, and leave the batches to others."""
        if self._looking is not None:
            await self._looking.close()
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=CLOSE_PATIENCE)

    async def _look(self) -> None:
        try:
            async with self._bench.database.reading() as session:
                self._bench.metrics.set_batches(await bulk_rows.unfinished(session))
            while len(self._running) < AT_A_TIME and (held := await self._claim()) is not None:
                task = asyncio.create_task(self._attend(held), name=f"batch {held.row.id}")
                self._running[task] = held.row.tenant_id
                task.add_done_callback(self._running.pop)
                task.add_done_callback(lambda _: self.hurry())
        except Unavailable:
            return  # the database is away, which others say; the next look comes
        except Exception:
            log.exception("batches were not looked for")

    async def _claim(self) -> HeldBatch | None:
        here = tuple(self._running.values())
        async with self._bench.database.reading() as session:  # which locks nobody out, unlike taking one
            free = await bulk_rows.free_batch(session, self._bench.storage.id, datetime.now(UTC), here)
        return None if free is None else await HeldBatch.claim(self._bench.database, self._bench.storage.id, here)

    async def _attend(self, held: HeldBatch) -> None:
        errand.set_out(held.row.id, UNRECORDED)
        run = Run(held, self._bench)
        log.info("batch is worked on", batch=held.row.id, status=held.row.status, line=held.row.line)
        try:
            async with kept(held, run):
                await run.to_the_end()
        except LeaseLost:
            log.info("batch is no longer ours", batch=held.row.id)
        except asyncio.CancelledError:
            with contextlib.suppress(Unavailable):
                await held.release()
            raise
        except Exception:
            log.exception("a batch broke off; it is tried again when its lease has run out", batch=held.row.id)


@contextlib.asynccontextmanager
async def kept(held: HeldBatch, run: Run) -> AsyncIterator[None]:
    """Renew the lease for the length of the block. Raises LeaseLost, with the block broken off, once it is lost."""
    block = asyncio.current_task()
    lost = False

    async def keep() -> None:
        nonlocal lost
        while True:
            await asyncio.sleep(LEASE.total_seconds() / RENEWALS)
            try:
                run.see(await held.renew())
            except LeaseLost:
                lost = True
                if block is not None:
                    block.cancel()
                return
            except Unavailable as error:
                log.warning("the lease on a batch is not renewed", batch=held.row.id, why=error.message)

    keeping = asyncio.create_task(keep())
    try:
        yield
    except asyncio.CancelledError:
        if lost and block is not None and block.uncancel() == 0:
            raise LeaseLost from None
        raise
    finally:
        keeping.cancel()
