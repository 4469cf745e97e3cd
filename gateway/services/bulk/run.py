"""One batch, from wherever it is to its end."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import structlog

from gateway.db.session import Database
from gateway.db.tables import Batch, FilePart
from gateway.errors import StorageFull, Unavailable
from gateway.observability import GatewayMetrics
from gateway.services.bulk.allowance import Allowance
from gateway.services.bulk.answers import OK, Answer, expired_line, line_of, usage_of
from gateway.services.bulk.asking import Asking, KeyEnded
from gateway.services.bulk.checking import DECODE, look_through
from gateway.services.bulk.files import LIFETIME, content_of, part_key
from gateway.services.bulk.held import HeldBatch, LeaseLost, Place, Step
from gateway.services.bulk.reading import Stretch, stretches
from gateway.services.bulk.storage import FileStorage, ObjectMissing
from gateway.services.bulk.wire import LineWire
from gateway.services.quota.reserving import Quota
from gateway.services.snapshot.entries import PolicySnapshot

WINDOW = 4
"""Stretches that are worked on at a time; their results are written in order."""
LOOK_AGAIN = 0.5
MOST_PAUSE = 10.0
"""Seconds between two tries to write what can not be written."""

log = structlog.get_logger(__name__)
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Bench:
    """What those who work on batches share."""

    database: Database
    storage: FileStorage
    wire: LineWire
    quota: Quota
    allowance: Allowance
    policies: Callable[[], PolicySnapshot]
    metrics: GatewayMetrics
    longest_line: int


class Run:
    """Works on a batch that is held. Whoever holds it sees to its lease meanwhile."""

    def __init__(self, held: HeldBatch, bench: Bench) -> None:
        self._held = held
        self._bench = bench
        self._seen = held.row
        row = held.row
        self._asking = Asking(bench.wire, bench.quota, bench.allowance, bench.policies, row.tenant_id, row.key_id)

    def see(self, row: Batch) -> None:
        """Be told how the batch stands: its tenant may have cancelled it."""
        self._seen = row

    async def to_the_end(self) -> None:
        """Work until the batch has ended, or may not go on now. Raises LeaseLost."""
        why = self._why_stop()
        if why is None:
            why = await self._until_stopped()
            if why is None:
                return
            await self._firmly(self._held.refresh)
        match why:
            case "suspended":
                await self._held.release()
            case "cancelled":
                await self._end("cancelled")
            case "expired":
                await self._expire()
            case _:
                await self._end("failed", [_error(why, "The API key that made this batch is no longer valid.")])

    async def _until_stopped(self) -> str | None:
        """Work; why it broke off, None where it is done."""
        working = asyncio.create_task(self._work())
        try:
            while True:
                await asyncio.wait([working], timeout=LOOK_AGAIN)
                if working.done():
                    working.result()
                    return None
                if (why := self._why_stop()) is not None:
                    return why
        except KeyEnded:
            return self._why_stop() or "key_not_valid"
        finally:
            working.cancel()
            await asyncio.wait([working])

    def _why_stop(self) -> str | None:
        """What is in the way of going on."""
        if self._seen.status == "cancelling":
            return "cancelled"
        if self._seen.expires_at <= datetime.now(UTC):
            return "expired"
        tenant = self._bench.policies().tenants.get(self._seen.tenant_id)
        if tenant is not None and tenant.suspended:
            return "suspended"
        try:
            self._asking.key()
        except KeyEnded:
            return "key_not_valid"
        return None

    async def _work(self) -> None:
        try:
            if self._held.row.status == "validating" and not await self._firmly(self._validate):
                return
            if self._held.row.status == "in_progress":
                await self._firmly(self._go_through)
                await self._firmly(self._held.finalize)
            await self._end("completed")
        except ObjectMissing:
            await self._end("failed", [_error("input_file_missing", "The input file is not there any more.")])

    async def _validate(self) -> bool:
        """Whether the input is good; where it is not, the batch has ended."""
        row, bench = self._held.row, self._bench
        findings = await look_through(
            self._stretches(Place()), bench.wire, row.endpoint, bench.policies(), self._asking.key()
        )
        if findings.errors:
            await self._end("failed", findings.errors)
            return False
        await self._held.begin(findings.requests, min(findings.models) if len(findings.models) == 1 else None)
        return True

    async def _go_through(self) -> None:
        """Answer every line from the batch's place on."""
        window: deque[tuple[Place, asyncio.Task[list[Answer]]]] = deque()
        try:
            async for stretch in self._stretches(self._held.place):
                if len(window) >= WINDOW:
                    await self._settle(window)
                window.append((stretch.end, asyncio.create_task(self._asking.answer(stretch.lines))))
            while window:
                await self._settle(window)
        finally:
            for _, task in window:
                task.cancel()
            await asyncio.gather(*(task for _, task in window), return_exceptions=True)

    async def _settle(self, window: deque[tuple[Place, asyncio.Task[list[Answer]]]]) -> None:
        """Write what the first of the window came to."""
        row, key = self._held.row, self._asking.key()
        end, task = window[0]
        answers = await task
        window.popleft()
        good = [answer for answer in answers if answer.status == OK]
        bad = [answer for answer in answers if answer.status != OK]
        told = [usage_of(row.id, row.endpoint, key, answer) for answer in answers]
        await self._step(
            end,
            output=[line_of(row.id, answer) for answer in good],
            failures=[line_of(row.id, answer) for answer in bad],
            tokens=sum(answer.tokens for answer in answers),
            usage=[event for event in told if event is not None],
        )

    async def _expire(self) -> None:
        """Say of every line that was not answered that it came too late."""
        if self._held.row.status == "in_progress":
            try:
                await self._firmly(self._write_off)
            except ObjectMissing:
                log.warning("the input of an expired batch is gone", batch=self._held.row.id)
        await self._end("expired")

    async def _write_off(self) -> None:
        async for stretch in self._stretches(self._held.place):
            named = [(line.number, DECODE(line.content).custom_id) for line in stretch.lines]
            await self._step(stretch.end, failures=[expired_line(self._held.row.id, *line) for line in named])

    async def _step(
        self,
        end: Place,
        *,
        output: Sequence[bytes] = (),
        failures: Sequence[bytes] = (),
        tokens: int = 0,
        usage: Sequence[Any] = (),
    ) -> None:
        row = self._held.row
        parts = []
        for file_id, lines in ((row.output_file_id, output), (row.error_file_id, failures)):
            if lines:
                parts.append(await self._write(file_id, row.chunks, b"".join(lines)))
        step = Step(end, parts, len(output), len(failures), tokens, usage)
        try:
            await self._firmly(lambda: self._held.advance(step))
        except LeaseLost:
            await self._bench.storage.delete([part.key for part in parts])
            raise
        self._bench.metrics.batch_lines(completed=len(output), failed=len(failures))

    async def _write(self, file_id: str, number: int, content: bytes) -> FilePart:
        key = part_key(file_id, number)
        await self._firmly(lambda: self._bench.storage.put(key, content))
        return FilePart(file_id=file_id, number=number, key=key, bytes=len(content))

    async def _end(self, status: str, errors: Sequence[dict[str, Any]] | None = None) -> None:
        """Leave nothing in the storage that does not count, and be done."""
        row = self._held.row
        await self._firmly(self._delete_strays)
        lifetime = LIFETIME if row.output_lifetime is None else timedelta(seconds=row.output_lifetime)
        await self._firmly(lambda: self._held.end(status, lifetime, errors))
        self._bench.metrics.batch_ended(status)
        log.info("batch ended", batch=row.id, status=status, completed=row.completed, failed=row.failed)

    async def _delete_strays(self) -> None:
        for file_id in (self._held.row.output_file_id, self._held.row.error_file_id):
            counted = {part.key for part in await self._held.parts_of(file_id)}
            there = await self._bench.storage.keys(file_id)
            await self._bench.storage.delete(key for key in there if key not in counted)

    async def _stretches(self, start: Place) -> AsyncIterator[Stretch]:
        parts = await self._held.parts_of(self._held.row.input_file_id)
        if not parts:
            raise ObjectMissing(self._held.row.input_file_id)
        content = content_of(self._bench.storage, parts, start.position)
        async for stretch in stretches(content, start, self._bench.longest_line):
            yield stretch

    async def _firmly(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """Do it, again and again while the database or the storage is away."""
        wait = LOOK_AGAIN
        while True:
            try:
                return await work()
            except (Unavailable, StorageFull) as error:
                log.warning("a batch waits", batch=self._held.row.id, why=error.message, seconds=wait)
            await asyncio.sleep(wait)
            wait = min(MOST_PAUSE, 2 * wait)


def _error(code: str, message: str) -> dict[str, Any]:
    return {"code": code, "line": None, "message": message, "param": None}
