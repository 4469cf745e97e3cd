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
LONG_REST = 120.0
"""Seconds without progress after which a batch leaves its place to one that waits for it."""
RENEWALS = 3
"""That may be tried within a lease."""
CLOSE_PATIENCE = 5.0

log = structlog.get_logger(__name__)


class BulkWorker:
    """Works on batches until it is closed; `hurry` where there is a new one."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._running: dict[asyncio.Task[None], Run] = {}
        self._resting: set[Run] = set()
        """Those that leave their places."""
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
                run = Run(held, self._bench)
                task = asyncio.create_task(self._attend(held, run), name=f"batch {held.row.id}")
                self._running[task] = run
                task.add_done_callback(self._running.pop)
                task.add_done_callback(lambda _: self.hurry())
            await self._make_room()
        except Unavailable:
            return  # the database is away, which others say; the next look comes
        except Exception:
            log.exception("batches were not looked for")

    async def _claim(self) -> HeldBatch | None:
        if not await self._is_one_free():  # which locks nobody out, unlike taking one
            return None
        return await HeldBatch.claim(self._bench.database, self._bench.storage.id, self._tenants())

    async def _is_one_free(self) -> bool:
        async with self._bench.database.reading() as session:
            now, storage = datetime.now(UTC), self._bench.storage.id
            return await bulk_rows.free_batch(session, storage, now, self._tenants()) is not None

    def _tenants(self) -> tuple[str, ...]:
        return tuple(run.tenant_id for run in self._running.values())

    async def _make_room(self) -> None:
        """Have the batch that rests longest leave its place to one that has none: its wait may last all day."""
        if len(self._running) < AT_A_TIME:
            return
        task, run = max(self._running.items(), key=lambda each: each[1].rested)
        if run.rested >= LONG_REST and run not in self._resting and await self._is_one_free():
            self._resting.add(run)
            task.cancel()

    async def _attend(self, held: HeldBatch, run: Run) -> None:
        errand.set_out(held.row.id, UNRECORDED)
        log.info("batch is worked on", batch=held.row.id, status=held.row.status, line=held.row.line)
        try:
            async with kept(held, run):
                await run.to_the_end()
        except LeaseLost:
            log.info("batch is no longer ours", batch=held.row.id)
        except asyncio.CancelledError:
            with contextlib.suppress(Unavailable):
                await held.release(behind=run in self._resting)
            raise
        except Exception:
            log.exception("a batch broke off; it is tried again when its lease has run out", batch=held.row.id)
        finally:
            self._resting.discard(run)


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
