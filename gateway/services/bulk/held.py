"""A batch that this process works on: held by a lease in the database, and moved on in steps that count once.

The lease is a word that nobody else has, and a time. Each step names the word: whoever was too slow to renew it, and
whose batch was taken over, changes nothing any more, whatever the clocks say. A step is one transaction: the results
that it adds, the usage that they cost, and the place in the input from which the next one goes on.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Self

from sqlalchemy import Case, case
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gateway.db import bulk_queries, bulk_rows
from gateway.db.session import Database
from gateway.db.tables import Batch, File, FilePart
from gateway.services.ids import new_id
from gateway.services.usage.event import UsageEvent
from gateway.services.usage.ledger import enter_within

LEASE = timedelta(seconds=6)
"""For which nobody else takes a batch whose process went silent."""
AT_ONCE = 50
"""Usage records that are made without a pause: 1 ms."""


class LeaseLost(Exception):
    """Somebody else works on the batch now, or nobody shall."""


class Place(NamedTuple):
    """How far an input was read."""

    line: int = 0
    """Lines."""
    position: int = 0
    """Bytes."""


class Step(NamedTuple):
    """What a stretch of the input came to."""

    end: Place
    """Where the next one begins."""
    parts: Sequence[FilePart]
    completed: int
    failed: int
    tokens: int
    usage: Sequence[UsageEvent]


class HeldBatch:
    """A batch and the lease on it."""

    def __init__(self, database: Database, row: Batch, lease: str) -> None:
        self.row = row
        """As it was when it was taken, and as our own steps changed it since."""
        self._database = database
        self._lease = lease

    @classmethod
    async def claim(cls, database: Database, storage: str, besides: Sequence[str]) -> Self | None:
        """The oldest batch that waits for somebody, if there is one; of other tenants than `besides` at best."""
        async with database.transaction() as session:
            moment = await bulk_rows.now(session)
            row = await bulk_rows.free_batch(session, storage, moment, besides, locked=True)
            if row is None:
                return None
            row.worker, row.lease_until = new_id(16), moment + LEASE
            return cls(database, row, row.worker)

    @property
    def place(self) -> Place:
        """Where the next step begins."""
        return Place(self.row.line, self.row.position)

    async def renew(self) -> Batch:
        """Hold it for longer; what it is now. Raises LeaseLost."""
        async with self._database.transaction() as session:
            until = await bulk_rows.now(session) + LEASE
            if not await bulk_rows.update_held(session, self.row.id, self._lease, {"lease_until": until}):
                raise LeaseLost
            return await self._current(session)

    async def refresh(self) -> None:
        """Go by the database after a step broke off: it may have been made or not. Raises LeaseLost."""
        self.row = await self.renew()

    async def release(self, *, behind: bool = False) -> None:
        """Let somebody else go on at once, or `behind` those that wait."""
        async with self._database.transaction() as session:
            until = await bulk_rows.now(session) if behind else None
            await bulk_rows.update_held(session, self.row.id, self._lease, {"worker": None, "lease_until": until})

    async def begin(self, total: int, model: str | None) -> None:
        """The input is good: go on to its requests. Raises LeaseLost."""
        moment = datetime.now(UTC)
        values = {"status": _unless_cancelled("in_progress"), "in_progress_at": moment, "total": total, "model": model}
        async with self._database.transaction() as session:
            await self._change(session, values)
            self.row = await self._current(session)
            for kind, file_id in (("output", self.row.output_file_id), ("error", self.row.error_file_id)):
                session.add(
                    File(
                        id=file_id,
                        tenant_id=self.row.tenant_id,
                        purpose="batch_output",
                        filename=f"{self.row.id}_{kind}.jsonl",
                        storage=self.row.storage,
                        ready=False,
                        created_at=moment,
                    )
                )

    async def advance(self, step: Step) -> None:
        """Add what a stretch of the input came to. Raises LeaseLost. Again, after it was unclear: nothing changes."""
        row = self.row
        values = {
            "line": step.end.line,
            "position": step.end.position,
            "completed": row.completed + step.completed,
            "failed": row.failed + step.failed,
            "tokens": row.tokens + step.tokens,
        }
        async with self._database.transaction() as session:
            if await bulk_rows.advance(session, row.id, self._lease, row.chunks, values):
                for part in step.parts:
                    await bulk_rows.grow_file(session, part)
                await enter_within(session, step.usage, AT_ONCE)
            elif not await self._has_come_to(session, row.chunks + 1):
                raise LeaseLost
        for name, value in {**values, "chunks": row.chunks + 1}.items():
            setattr(row, name, value)

    async def finalize(self) -> None:
        """All requests are done. Raises LeaseLost."""
        async with self._database.transaction() as session:
            values = {"status": _unless_cancelled("finalizing"), "finalizing_at": datetime.now(UTC)}
            await self._change(session, values)
            self.row = await self._current(session)

    async def end(self, status: str, lifetime: timedelta, errors: Sequence[dict[str, Any]] | None = None) -> None:
        """The last step: let the files be seen, and nobody work on it any more. Raises LeaseLost."""
        moment = datetime.now(UTC)
        values = {"status": status, "ended_at": moment, "errors": errors, "worker": None, "lease_until": None}
        async with self._database.transaction() as session:
            await self._change(session, values)
            await bulk_rows.end_results(session, await self._current(session), moment, lifetime)

    async def stored_bytes(self) -> int:
        """What all files of the tenant take together."""
        async with self._database.reading() as session:
            return await bulk_queries.stored_bytes(session, self.row.tenant_id)

    async def parts_of(self, file_id: str) -> Sequence[FilePart]:
        """What a file consists of."""
        async with self._database.reading() as session:
            return await bulk_queries.parts(session, file_id)

    async def _change(self, session: AsyncSession, values: Mapping[str, Any]) -> None:
        if not await bulk_rows.update_held(session, self.row.id, self._lease, values):
            raise LeaseLost

    async def _current(self, session: AsyncSession) -> Batch:
        row = await bulk_queries.batch(session, self.row.tenant_id, self.row.id)
        if row is None:
            raise LeaseLost
        return row

    async def _has_come_to(self, session: AsyncSession, chunks: int) -> bool:
        row = await bulk_queries.batch(session, self.row.tenant_id, self.row.id)
        return row is not None and row.worker == self._lease and row.chunks == chunks


def _unless_cancelled(status: str) -> Case[str]:
    """The next status, except for a batch whose tenant has cancelled it meanwhile."""
    return case((col(Batch.status) == "cancelling", "cancelling"), else_=status)
