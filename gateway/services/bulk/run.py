"""One batch, from wherever it is to its end."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from time import monotonic
from typing import Any, TypeVar

import structlog

from gateway.db.tables import Batch
from gateway.errors import RequestError
from gateway.services.bulk.answers import OK, Answer, expired_line, line_of, usage_of
from gateway.services.bulk.asking import Asking, KeyEnded
from gateway.services.bulk.bench import Bench, firmly
from gateway.services.bulk.checking import DECODE, look_through
from gateway.services.bulk.files import content_of
from gateway.services.bulk.held import HeldBatch, Place
from gateway.services.bulk.reading import Stretch, stretches
from gateway.services.bulk.results import Results
from gateway.services.bulk.storage import ObjectMissing

WINDOW = 4
"""Stretches that are worked on at a time; their results are written in order."""
LOOK_AGAIN = 0.5
"""Seconds between two looks at whether to stop."""

log = structlog.get_logger(__name__)
Result = TypeVar("Result")


class Run:
    """Works on a batch that is held. Whoever holds it sees to its lease meanwhile."""

    def __init__(self, held: HeldBatch, bench: Bench) -> None:
        self._held = held
        self._bench = bench
        self._seen = held.row
        self._read_at = monotonic()
        row = held.row
        self._results = Results(held, bench)
        self._asking = Asking(bench.wire, bench.quota, bench.allowances, bench.policies, row.tenant_id, row.key_id)

    @property
    def tenant_id(self) -> str:
        """Whose it is."""
        return self._held.row.tenant_id

    @property
    def rested(self) -> float:
        """Seconds in which it has come no further: it waits for its quota, say, or for a node."""
        return monotonic() - max(self._read_at, self._asking.answered_at)

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
                await self._results.end("cancelled")
            case "expired":
                await self._expire()
            case _:
                await self._results.end("failed", [_error(why, "The API key that made this batch is no longer valid.")])

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
            if self._held.row.status == "cancelling":  # while we looked
                await self._results.end("cancelled")
                return
            if self._held.row.status == "in_progress":
                await self._firmly(self._go_through)
                await self._firmly(self._held.finalize)
            await self._results.end("completed")
        except ObjectMissing:
            await self._results.end("failed", [_error("input_file_missing", "The input file is not there any more.")])
        except RequestError as error:  # there is no room for more results
            await self._results.end("failed", [_error(error.code or error.type, error.message)])

    async def _validate(self) -> bool:
        """Whether the input is good; where it is not, the batch has ended."""
        row, bench = self._held.row, self._bench
        findings = await look_through(
            self._stretches(Place(), bench.longest_line), bench.wire, row.endpoint, bench.policies(), self._asking.key()
        )
        if findings.errors:
            await self._results.end("failed", findings.errors)
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
        await self._results.step(
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
            except (ObjectMissing, RequestError) as error:
                log.warning("an expired batch ends early", batch=self._held.row.id, why=str(error))
        await self._results.end("expired")

    async def _write_off(self) -> None:
        async for stretch in self._stretches(self._held.place):
            named = [(line.number, DECODE(line.content).custom_id) for line in stretch.lines]
            await self._results.step(stretch.end, failures=[expired_line(self._held.row.id, *line) for line in named])

    async def _stretches(self, start: Place, longest: int | None = None) -> AsyncIterator[Stretch]:
        parts = await self._held.parts_of(self._held.row.input_file_id)
        if not parts:
            raise ObjectMissing(self._held.row.input_file_id)
        content = content_of(self._bench.storage, parts, start.position)
        async for stretch in stretches(content, start, longest):
            self._read_at = monotonic()
            yield stretch

    async def _firmly(self, work: Callable[[], Awaitable[Result]]) -> Result:
        return await firmly(self._held.row.id, work)


def _error(code: str, message: str) -> dict[str, Any]:
    return {"code": code, "line": None, "message": message, "param": None}
