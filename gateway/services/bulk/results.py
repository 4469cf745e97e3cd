"""What a batch comes to, step by step: first in the storage, then in the database, and then it counts."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import structlog

from gateway.db.tables import Batch, FilePart
from gateway.services.bulk.bench import Bench, firmly
from gateway.services.bulk.files import LIFETIME, check_room, part_key
from gateway.services.bulk.held import HeldBatch, LeaseLost, Place, Step
from gateway.services.usage.event import UsageEvent

log = structlog.get_logger(__name__)
Result = TypeVar("Result")


class Results:
    """Of a batch that is held."""

    def __init__(self, held: HeldBatch, bench: Bench) -> None:
        self._held = held
        self._bench = bench

    async def step(
        self,
        end: Place,
        *,
        output: Sequence[bytes] = (),
        failures: Sequence[bytes] = (),
        tokens: int = 0,
        usage: Sequence[UsageEvent] = (),
    ) -> None:
        """Add lines that belong to the input from where the last step ended up to `end`.

        Raises LeaseLost, and RequestError where the tenant's files would take more than they may.
        """
        row = self._held.row
        more = sum(map(len, output)) + sum(map(len, failures))
        check_room(await self._firmly(self._held.stored_bytes), more, self._bench.most_stored)
        parts = []
        for file_id, lines in ((row.output_file_id, output), (row.error_file_id, failures)):
            if lines:
                parts.append(await self._write(file_id, row.chunks, b"".join(lines)))
        step = Step(end, parts, len(output), len(failures), tokens, usage)
        try:
            await self._firmly(lambda: self._held.advance(step))
        except LeaseLost:
            await self._firmly(lambda: self._delete_unnamed(parts))
            raise
        self._bench.metrics.batch_lines(completed=len(output), failed=len(failures))

    async def _write(self, file_id: str, number: int, content: bytes) -> FilePart:
        key = part_key(file_id, number)
        await self._firmly(lambda: self._bench.storage.put(key, content))
        return FilePart(file_id=file_id, number=number, key=key, bytes=len(content))

    async def end(self, status: str, errors: Sequence[dict[str, Any]] | None = None) -> None:
        """Leave nothing in the storage that does not count, and be done."""
        row = self._held.row
        await self._firmly(self._delete_strays)
        await self._firmly(lambda: self._held.end(status, lifetime_of(row), errors))
        self._bench.metrics.batch_ended(status)
        log.info("batch ended", batch=row.id, status=status, completed=row.completed, failed=row.failed)

    async def _delete_unnamed(self, parts: Sequence[FilePart]) -> None:
        """Delete objects of ours that do not count. They may: what we lost is perhaps only the word that they do."""
        counted = {one.key for part in parts for one in await self._held.parts_of(part.file_id)}
        await self._bench.storage.delete(part.key for part in parts if part.key not in counted)

    async def _delete_strays(self) -> None:
        for file_id in (self._held.row.output_file_id, self._held.row.error_file_id):
            counted = {part.key for part in await self._held.parts_of(file_id)}
            there = await self._bench.storage.keys(file_id)
            await self._bench.storage.delete(key for key in there if key not in counted)

    async def _firmly(self, work: Callable[[], Awaitable[Result]]) -> Result:
        return await firmly(self._held.row.id, work)


def lifetime_of(batch: Batch) -> timedelta:
    """For how long its results are kept."""
    return LIFETIME if batch.output_lifetime is None else timedelta(seconds=batch.output_lifetime)
