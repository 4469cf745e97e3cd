"""Monthly budgets, kept true by the ledger: the hourly roll-ups of usage (`usage_hour`) are what counts in the end.

A store is told what was used when it does not know, and now and then again: it may have restarted empty, been away
while requests were let through, or not have known a limit that was taken away and set again. What a store counts
includes what is under way and not in the ledger yet, so the ledger can only ever raise it.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Self

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db.budget_rows import insert_notice, tokens_by_model
from gateway.db.errors import DatabaseUnusable
from gateway.db.session import Database
from gateway.errors import Unavailable
from gateway.services.periodic import Periodic
from gateway.services.quota.reserving import QuotaStore
from gateway.services.snapshot.feed import SnapshotFeed
from policies.quota import Limit, Standings, moment_of, month_start

log = structlog.get_logger(__name__)

PERCENTS = (80, 100)
"""Shares of a budget that are worth a word."""
LOOK_INTERVAL = 1.0
"""Seconds between two looks at budgets that are close to such a share."""
LOOKS_PER_TRUING = 60
"""Looks after which every budget in use is held against the ledger."""


class Budgets:
    """What the ledger says of monthly limits; a `Ledger` for `Quota`."""

    def __init__(
        self, database: Database, feed: SnapshotFeed, store: QuotaStore, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._feed = feed
        self._store = store
        self._clock = clock
        self._in_use: dict[str, Limit] = {}
        self._close: dict[str, Limit] = {}
        self._said: dict[str, tuple[int, int]] = {}
        """The month and the highest share that was said in it, by state key."""
        self._asked: dict[tuple[Sequence[Limit], int], asyncio.Task[Mapping[Limit, int]]] = {}
        self._looks = 0
        self._looking: Periodic | None = None

    @classmethod
    def open(cls, database: Database, feed: SnapshotFeed, store: QuotaStore) -> Self:
        """Look at budgets in the background from now on."""
        budgets = cls(database, feed, store)
        budgets._looking = Periodic(budgets._look, LOOK_INTERVAL, "budgets")
        return budgets

    async def close(self) -> None:
        """Stop looking."""
        if self._looking is not None:
            await self._looking.close()

    async def used(self, limits: Sequence[Limit], month: int) -> Mapping[Limit, int]:
        """Tokens that each limit covers and that were used in the month, as far as they are in the database.

        Raises Unavailable where that can not be known. Requests that ask the same at one time share the answer.
        """
        question = (tuple(limits), month)
        asking = self._asked.get(question)
        if asking is None:
            asking = self._asked[question] = asyncio.create_task(self._read(limits, month))
            asking.add_done_callback(lambda _: self._asked.pop(question))
        try:
            return await asyncio.shield(asking)
        except DatabaseUnusable as error:
            raise Unavailable(
                "The budget of this month is not known now; please try again.", retry_after=1.0
            ) from error

    def note(self, standings: Standings) -> None:
        """Remember which budgets are in use, and which are close to a share that is worth a word."""
        for limit, standing in standings:
            if limit.kind == "tokens_per_month":
                self._in_use[limit.state_key] = limit
                if (limit.amount - standing.remaining) * 100 >= PERCENTS[0] * limit.amount:
                    self._close[limit.state_key] = limit

    async def look(self, *, at_all: bool) -> None:
        """Say what is due of the budgets that are close; `at_all`: of every one in use, and true the store's count.

        Raises `DatabaseUnusable`; then everything is looked at again next time.
        """
        month = moment_of(self._clock()).month
        chosen = self._close | self._in_use if at_all else self._close
        limits = [limit for key, limit in chosen.items() if at_all or self._said.get(key) != (month, PERCENTS[-1])]
        if not limits:
            return
        used = await self._read(limits, month)
        if at_all:
            await self._store.seed(used, month)
        await self._say(used, month)
        for limit in limits:
            self._close.pop(limit.state_key, None)
            if at_all:
                self._in_use.pop(limit.state_key, None)

    async def _look(self) -> None:
        self._looks += 1
        try:
            await self.look(at_all=self._looks % LOOKS_PER_TRUING == 0)
        except DatabaseUnusable:
            return  # the usage recorder and the policies say that it is away
        except Exception as error:  # noqa: BLE001 (whatever it is, the next look must come, and it is said)
            log.warning("budgets could not be looked at", why=repr(error))

    async def _read(self, limits: Iterable[Limit], month: int) -> Mapping[Limit, int]:
        async with self._database.reading() as session:
            return await month_used(session, limits, month, self._names_of)

    def _names_of(self, model: str) -> Sequence[str]:
        entry = self._feed.current.models.get(model)
        return (model,) if entry is None else entry.names

    async def _say(self, used: Mapping[Limit, int], month: int) -> None:
        passed = [
            (limit, percent)
            for limit, tokens in used.items()
            for percent in PERCENTS
            if tokens * 100 >= percent * limit.amount and self._said.get(limit.state_key, (0, 0)) < (month, percent)
        ]
        if not passed:
            return
        async with self._database.transaction() as session:
            new = [(limit, percent) for limit, percent in passed if await _keep(session, limit, month, percent)]
        for limit, percent in passed:
            self._said[limit.state_key] = max(self._said.get(limit.state_key, (0, 0)), (month, percent))
        for limit, percent in new:
            log.warning(
                "a monthly budget passed a share of its amount",
                subject=limit.subject,
                models=limit.model_pattern,
                month=month_name(month),
                percent=percent,
                amount=limit.amount,
                used=used[limit],
            )


async def month_used(
    session: AsyncSession, limits: Iterable[Limit], month: int, names_of: Callable[[str], Sequence[str]]
) -> Mapping[Limit, int]:
    """Tokens used in the month by what each limit covers; `names_of` gives all names of a model id."""
    start, end = (datetime.fromtimestamp(month_start(number), UTC) for number in (month, month + 1))
    ledgers: dict[tuple[str, str | None], Mapping[str, int]] = {}
    used = {}
    for limit in limits:
        kind, _, identity = limit.subject.partition(":")
        owner = (limit.tenant, identity if kind == "key" else None)
        if owner not in ledgers:
            ledgers[owner] = await tokens_by_model(session, *owner, start=start, end=end)
        used[limit] = sum(tokens for model, tokens in ledgers[owner].items() if limit.applies_to(names_of(model)))
    return used


def month_name(month: int) -> str:
    """A month as people write it: `2026-11`."""
    return f"{month // 12:04d}-{month % 12 + 1:02d}"


async def _keep(session: AsyncSession, limit: Limit, month: int, percent: int) -> bool:
    return await insert_notice(
        session,
        limit.tenant,
        subject=limit.subject,
        model_pattern=limit.model_pattern,
        month=month_name(month),
        percent=percent,
        amount=limit.amount,
        time=datetime.now(UTC),
    )
