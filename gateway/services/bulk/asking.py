"""The requests of a batch on their way to nodes: judged and paid for like any others, and patient where those are not.

A quota that is used up is waited for. So is a node that is away, overloaded or loading the model. What fails otherwise
is tried a few times, then taken apart until the line at fault is alone, and that line fails.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import UTC, datetime
from time import monotonic, perf_counter
from typing import Any, TypeVar

import msgspec

from gateway.engine_client import EmbedReply
from gateway.errors import (
    CostTooHigh,
    EngineFailed,
    EngineOverloaded,
    GatewayError,
    ModelNotFound,
    ModelUnusable,
    QuotaExceeded,
    Unavailable,
    error_body,
)
from gateway.services.bulk.allowance import Allowances
from gateway.services.bulk.answers import OK, Answer
from gateway.services.bulk.breathing import Breather
from gateway.services.bulk.checking import DECODE
from gateway.services.bulk.grouping import Item, apart, groups, together
from gateway.services.bulk.reading import Line
from gateway.services.bulk.wire import LineWire
from gateway.services.quota.reserving import Quota
from gateway.services.snapshot.entries import KeyEntry, PolicySnapshot
from policies.pacing import pause

TRIES = 4
"""Of what may be the request's own fault."""
BEGIN_WAITING = 0.5
MOST_WAITING = 30.0
"""Seconds between two tries."""
ALIKE = (ModelNotFound, ModelUnusable)
"""Failures of all requests that go to the same model."""
NEVER_ADMITTED = (ModelNotFound, CostTooHigh)


Result = TypeVar("Result")


class KeyEnded(Exception):
    """The key that made the batch is good no more, nor is there one that took its place."""


class Asking:
    """Answers lines for one batch."""

    def __init__(
        self,
        wire: LineWire,
        quota: Quota,
        allowances: Allowances,
        policies: Callable[[], PolicySnapshot],
        tenant_id: str,
        key_id: str,
    ) -> None:
        self._wire = wire
        self._quota = quota
        self._allowances = allowances
        self._policies = policies
        self._tenant_id = tenant_id
        self._key_id = key_id
        self._breather = Breather()
        self.answered_at = monotonic()
        """When a node last answered."""

    def key(self) -> KeyEntry:
        """The key by which the batch is judged now. Raises KeyEnded."""
        return key_in_force(self._policies(), self._tenant_id, self._key_id, datetime.now(UTC))

    async def answer(self, lines: Sequence[Line]) -> list[Answer]:
        """One answer for each line, in their order. Raises KeyEnded."""
        items, answers = [], []
        policies, key = self._policies(), self.key()
        for line in lines:
            read = DECODE(line.content)
            body = bytes(read.body)
            try:
                work = await self._wire.prepare(policies, key, body)
            except GatewayError as error:
                answers.append(Answer(line.number, read.custom_id, error.status, error_body(error)))
            else:
                items.append(Item(line.number, read.custom_id, body, work))
            await self._breather.breathe()
        for some in await all_of(self._answered(group) for group in groups(items)):
            answers += some
        return sorted(answers, key=lambda answer: answer.number)

    async def _answered(self, group: Sequence[Item]) -> list[Answer]:
        tries = 0
        while True:
            began = perf_counter()
            try:
                reply = await self._ask(group)
                return await self._rendered(group, reply, perf_counter() - began)
            except GatewayError as error:
                tries += 1
                wait = waiting(error, tries)
                if wait is None:
                    return await self._failed(group, error)
            await asyncio.sleep(wait)

    async def _ask(self, group: Sequence[Item]) -> EmbedReply:
        """Judged and paid for as things are now, which may be long after the lines were first looked at."""
        key = self.key()
        work = await self._wire.prepare(self._policies(), key, group[0].body)
        cost = sum(item.work.cost for item in group)
        request = msgspec.structs.replace(together(group), flow=key.tenant.id, weight=key.tenant.weight, lane="bulk")
        reserving = self._quota.reserve(key, work.model.names, model=work.name, tokens=cost, requests=len(group))
        async with self._allowances.of(work.model.pool).taken(cost), reserving as reservation:
            reply = await self._wire.ask(work.model, request)
            reservation.used = sum(reply.token_counts)
        self.answered_at = monotonic()
        await asyncio.sleep(pause(reservation.standings))
        return reply

    async def _rendered(self, group: Sequence[Item], reply: EmbedReply, seconds: float) -> list[Answer]:
        answers = []
        self._breather.begin()
        for item, own in zip(group, apart(group, reply), strict=True):
            answers.append(
                Answer(
                    item.number,
                    item.custom_id,
                    OK,
                    item.work.render(own),
                    item.work.model,
                    inputs=len(own.token_counts),
                    tokens=sum(own.token_counts),
                    bytes_in=len(item.body),
                    seconds=seconds / len(group),
                )
            )
            await self._breather.breathe()
        return answers

    async def _failed(self, group: Sequence[Item], error: GatewayError) -> list[Answer]:
        """The failure of a line that is alone; of several, each half by itself."""
        if len(group) == 1 or isinstance(error, ALIKE):
            admitted = not isinstance(error, NEVER_ADMITTED)
            return [refused(item, error, admitted=admitted) for item in group]
        middle = len(group) // 2
        return [*await self._answered(group[:middle]), *await self._answered(group[middle:])]


def refused(item: Item, error: GatewayError, *, admitted: bool) -> Answer:
    """An error in place of an answer."""
    told = Answer(item.number, item.custom_id, error.status, error_body(error))
    if not admitted:
        return told
    return told._replace(model=item.work.model, inputs=len(item.work.request.inputs), bytes_in=len(item.body))


async def all_of(works: Iterable[Coroutine[Any, Any, Result]]) -> list[Result]:
    """Do all at a time. Where one fails, the others have ended too before it is raised."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def waiting(error: GatewayError, tries: int) -> float | None:
    """Seconds to wait before the same is tried again; None where that is of no use."""
    lasting = isinstance(error, QuotaExceeded | EngineOverloaded | Unavailable) and error.code != "engine_timeout"
    doubtful = isinstance(error, EngineFailed) or error.code == "engine_timeout"
    if not lasting and not (doubtful and tries < TRIES):
        return None
    growing = min(MOST_WAITING, BEGIN_WAITING * 2.0 ** min(tries - 1, 10)) * random.uniform(0.5, 1.0)  # noqa: S311
    if isinstance(error, QuotaExceeded):
        return MOST_WAITING if error.retry_after is None else min(MOST_WAITING, error.retry_after)
    return max(growing, min(MOST_WAITING, error.retry_after or 0.0))


def key_in_force(policies: PolicySnapshot, tenant_id: str, key_id: str, now: datetime) -> KeyEntry:
    """The key that made a batch, or one of its line that took its place. Raises KeyEnded, for suspended tenants too."""
    made = policies.keys.get(key_id)
    if made is not None and made.tenant.id == tenant_id and not made.tenant.suspended:
        others = (policies.keys[other] for other in policies.keys_of.get(tenant_id, ()))
        for key in (made, *(other for other in others if other.lineage == made.lineage)):
            if not key.revoked and (key.expires_at is None or key.expires_at > now):
                return key
    raise KeyEnded
