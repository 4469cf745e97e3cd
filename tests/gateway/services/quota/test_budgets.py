"""Monthly budgets against a real ledger."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
import structlog

from gateway.db.budget_rows import notices
from gateway.db.errors import DatabaseUnreachable
from gateway.errors import QuotaSpent, Unavailable
from gateway.services.quota.budgets import Budgets, month_name
from gateway.services.quota.memory_store import MemoryQuotaStore
from gateway.services.quota.reserving import Quota
from gateway.services.register.keys import create_key
from gateway.services.register.rotation import rotate_key
from gateway.services.register.tenants import create_tenant
from gateway.services.snapshot.entries import KeyEntry, TenantEntry
from policies.quota import Limit, moment_of

pytestmark = pytest.mark.anyio
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
NOVEMBER = 2026 * 12 + 10


class Clock:
    def __init__(self, now: datetime) -> None:
        self.set(now)

    def set(self, now: datetime) -> None:
        self.now = now.timestamp()

    def __call__(self) -> float:
        return self.now


class Ledger:
    """A database that can be away and counts its readers."""

    def __init__(self, database):
        self.database = database
        self.away = False
        self.readings = 0

    @asynccontextmanager
    async def reading(self):
        self.readings += 1
        if self.away:
            raise DatabaseUnreachable("postgresql://db.internal can not be reached")
        async with self.database.reading() as session:
            yield session

    def transaction(self):
        return self.database.transaction()


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


@pytest.fixture
def store(clock) -> MemoryQuotaStore:
    return MemoryQuotaStore(clock)


@pytest.fixture
def ledger(database) -> Ledger:
    return Ledger(database)


@pytest.fixture
def budgets(ledger, store, clock) -> Budgets:
    entry = SimpleNamespace(names=("org/big", "big"))
    return Budgets(ledger, SimpleNamespace(current=SimpleNamespace(models={"org/big": entry})), store, clock)


@pytest.fixture
async def key(write):
    await write(create_tenant, "acme")
    return await write(create_key, "acme")


def budget(key, amount=1000, pattern="*", *, own=False) -> Limit:
    subject = f"key:{key.id}" if own else f"tenant:{key.tenant_id}"
    return Limit(subject, "tokens_per_month", amount, pattern, tenant=key.tenant_id)


def caller(key, *limits) -> KeyEntry:
    tenant = TenantEntry(id=key.tenant_id, name="acme", suspended=False, grants=(), limits=limits)
    return KeyEntry(
        id=key.id,
        name="k",
        secret_sha256=b"",
        tenant=tenant,
        expires_at=None,
        revoked=False,
        grants=(),
        limits=(),
        lineage=key.id,
    )


async def spend(quota, who, tokens):
    async with quota.reserve(who, ("org/big",), model="big", tokens=tokens) as reservation:
        reservation.used = tokens
    return reservation


async def test_what_the_ledger_has_counts_from_the_first_request_on(budgets, store, key, use) -> None:
    await use(key, "org/big", 900, NOON)
    await use(key, "org/small", 70, NOON)
    quota, who = Quota(store, budgets), caller(key, budget(key))
    with pytest.raises(QuotaSpent) as caught:
        await spend(quota, who, 31)
    assert caught.value.code == "insufficient_quota"
    assert caught.value.should_retry is False
    assert caught.value.retry_after is None
    assert caught.value.message.startswith(
        "You exceeded your current quota, please check your plan and billing details. Tokens per month for big in "
        "organization acme: Limit 1000, Used 970, Requested 31."
    )
    await spend(quota, who, 30)


async def test_a_new_month_begins_with_nothing_and_asks_nobody(budgets, ledger, store, key, use, clock) -> None:
    await use(key, "org/big", 1000, NOON)
    quota, who = Quota(store, budgets), caller(key, budget(key))
    with pytest.raises(QuotaSpent):
        await spend(quota, who, 1)
    clock.set(datetime(2026, 12, 1, tzinfo=UTC))
    await spend(quota, who, 1000)
    assert ledger.readings == 1


async def test_a_budget_counts_its_owner_its_models_and_its_month_alone(budgets, write, key, use) -> None:
    other = await write(create_key, "acme")
    await write(create_tenant, "rival")
    rival = await write(create_key, "rival")
    young = (await write(rotate_key, key.id, overlap=timedelta(hours=1))).key
    for who, model, tokens, time in (
        (key, "org/big", 1, NOON),
        (key, "org/small", 2, NOON),
        (young, "org/big", 4, NOON),
        (other, "org/big", 8, NOON),
        (rival, "org/big", 16, NOON),
        (key, "org/big", 32, datetime(2026, 10, 31, 23, tzinfo=UTC)),
        (key, "org/big", 64, datetime(2026, 12, 1, 0, tzinfo=UTC)),
        (key, "org/big", 128, datetime(2026, 11, 1, 0, tzinfo=UTC)),
        (key, "org/big", 256, datetime(2026, 11, 30, 23, tzinfo=UTC)),
    ):
        await use(who, model, tokens, time)
    limits = [budget(key), budget(key, own=True), budget(key, pattern="big"), budget(key, pattern="*small", own=True)]
    month = 128 + 256
    used = await budgets.used(limits, NOVEMBER)
    assert [used[limit] for limit in limits] == [month + 15, month + 7, month + 13, 2]


async def test_many_who_ask_at_once_are_answered_by_one_reading(budgets, ledger, store, key, use) -> None:
    await use(key, "org/big", 990, NOON)
    quota, who = Quota(store, budgets), caller(key, budget(key))
    outcomes = await asyncio.gather(*[spend(quota, who, 1) for _ in range(50)], return_exceptions=True)
    assert sum(isinstance(outcome, QuotaSpent) for outcome in outcomes) == 40
    assert ledger.readings == 1


async def test_while_the_ledger_is_away_unknown_budgets_deny_and_known_ones_go_on(budgets, ledger, store, key) -> None:
    quota, who = Quota(store, budgets), caller(key, budget(key))
    ledger.away = True
    with pytest.raises(Unavailable, match="budget of this month is not known") as caught:
        await spend(quota, who, 1)
    assert "db.internal" not in caught.value.message
    assert caught.value.retry_after == 1.0
    ledger.away = False
    await spend(quota, who, 1)
    ledger.away = True
    await spend(quota, who, 1)


async def test_a_notice_is_kept_and_logged_once_for_each_share_whoever_sees_it(
    budgets, ledger, store, clock, key, use, read
) -> None:
    limit = budget(key)
    quota, who = Quota(store, budgets), caller(key, limit)
    twin = Budgets(ledger, budgets._feed, store, clock)

    async def said() -> list[tuple[int, int]]:
        with structlog.testing.capture_logs() as logs:
            for each in (budgets, twin):
                each.note(await store.peek([limit]))
                await each.look(at_all=False)
        return [(entry["percent"], entry["used"]) for entry in logs]

    for tokens, expected in ((799, []), (1, [(80, 800)]), (100, []), (100, [(100, 1000)])):
        await spend(quota, who, tokens)
        await use(key, f"model-{tokens}-{len(expected)}", tokens, NOON)
        assert await said() == expected
    kept = await read(notices, key.tenant_id, "2026-11")
    assert [(notice.percent, notice.amount, notice.subject) for notice in kept] == [
        (80, 1000, limit.subject),
        (100, 1000, limit.subject),
    ]


async def test_a_reservation_that_is_not_used_is_no_reason_for_a_notice(budgets, store, key, read) -> None:
    quota = Quota(store, budgets)
    async with quota.reserve(caller(key, budget(key)), ("org/big",), model="big", tokens=1000) as reservation:
        budgets.note(reservation.standings)
        await budgets.look(at_all=False)
        reservation.used = 5
    assert await read(notices, key.tenant_id, "2026-11") == []


async def test_budgets_in_use_are_held_against_the_ledger_and_only_ever_raised(budgets, store, key, use) -> None:
    limit = budget(key)
    quota, who = Quota(store, budgets), caller(key, limit)
    await spend(quota, who, 100)
    await use(key, "org/big", 40, NOON)
    await budgets.look(at_all=True)
    assert (await store.peek([limit]))[0][1].remaining == 900
    await use(key, "org/small", 300, NOON)  # such as was let through while the store was away
    await spend(quota, who, 1)
    await budgets.look(at_all=True)
    assert (await store.peek([limit]))[0][1].remaining == 660


async def test_a_notice_of_the_month_before_does_not_silence_the_next(budgets, store, clock, key, use, read) -> None:
    limit = budget(key)
    for time in (NOON, datetime(2026, 12, 5, tzinfo=UTC)):
        clock.set(time)
        await use(key, "org/big", 1000, time)
        await store.seed(await budgets.used([limit], moment_of(clock()).month), moment_of(clock()).month)
        budgets.note(await store.peek([limit]))
        await budgets.look(at_all=False)
    for month in (NOVEMBER, NOVEMBER + 1):
        assert [notice.percent for notice in await read(notices, key.tenant_id, month_name(month))] == [80, 100]
