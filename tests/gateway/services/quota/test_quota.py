import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.api.rate_headers import rate_headers
from gateway.errors import CostTooHigh, QuotaExceeded, QuotaSpent, TokenQuotaExceeded
from gateway.services.quota.memory_store import MemoryQuotaStore
from gateway.services.quota.reserving import Quota, go_duration
from gateway.services.snapshot.entries import KeyEntry, TenantEntry
from policies.quota import Limit

NAMES = ("m",)


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def key(*limits, own=()):
    tenant = TenantEntry("tn_1", "acme", suspended=False, grants=(), limits=limits)
    return KeyEntry("k1", "key", b"", tenant, None, revoked=False, grants=(), limits=own)


def limit(kind, amount, subject="tenant:tn_1", pattern="*"):
    return Limit(subject, kind, amount, pattern)


class Ledger:
    """Knows what was used of each month, by its number."""

    def __init__(self, **used):
        self.used_in = {2026 * 12 + 10: 0, **used}
        self.asked = 0

    async def used(self, limits, month):
        self.asked += 1
        return dict.fromkeys(limits, self.used_in.get(month, 0))

    def note(self, standings):
        pass


def quota_at(clock, ledger=None):
    return Quota(MemoryQuotaStore(clock), ledger or Ledger())


async def spend(quota, who, tokens, used):
    async with quota.reserve(who, NAMES, model="m", tokens=tokens) as reservation:
        reservation.used = used
    return reservation


async def remaining(quota, who):
    return {limit.kind: standing.remaining for limit, standing in await quota.standings(who, NAMES)}


def test_what_was_not_used_is_given_back():
    async def run():
        quota, who = quota_at(Clock()), key(limit("tokens", 100), limit("requests", 10))
        reservation = await spend(quota, who, 80, 30)
        assert reservation.settled == 30
        assert await remaining(quota, who) == {"tokens": 70, "requests": 9}

    asyncio.run(run())


@pytest.mark.parametrize("failure", [ValueError, asyncio.CancelledError, KeyboardInterrupt])
def test_a_block_that_fails_pays_nothing(failure):
    async def run():
        quota, who = quota_at(Clock()), key(limit("tokens", 100), limit("requests", 10))
        with pytest.raises(failure):
            await fail(quota, who)
        assert await remaining(quota, who) == {"tokens": 100, "requests": 10}

    async def fail(quota, who):
        async with quota.reserve(who, NAMES, model="m", tokens=80) as reservation:
            reservation.used = 50
            raise failure

    asyncio.run(run())


def test_a_block_that_says_nothing_pays_nothing():
    async def run():
        quota, who = quota_at(Clock()), key(limit("tokens", 100))
        async with quota.reserve(who, NAMES, model="m", tokens=80):
            assert await remaining(quota, who) == {"tokens": 20}
        assert await remaining(quota, who) == {"tokens": 100}

    asyncio.run(run())


def test_more_than_was_reserved_is_a_debt():
    async def run():
        quota, who, clock = None, key(limit("tokens", 60)), Clock()
        quota = quota_at(clock)
        await spend(quota, who, 10, 90)
        with pytest.raises(TokenQuotaExceeded):
            await spend(quota, who, 1, 1)
        clock.now += 29
        with pytest.raises(TokenQuotaExceeded):
            await spend(quota, who, 1, 1)
        clock.now += 2.1
        await spend(quota, who, 1, 1)

    asyncio.run(run())


def test_a_denial_by_one_limit_charges_none_of_the_others():
    async def run():
        quota = quota_at(Clock())
        who = key(limit("requests", 10), limit("tokens", 100), own=(limit("tokens", 50, "key:k1"),))
        for _ in range(20):
            with pytest.raises(CostTooHigh):
                await spend(quota, who, 60, 60)
        standings = await quota.standings(who, NAMES)
        assert [standing.remaining for _, standing in standings] == [10, 100, 50]

    asyncio.run(run())


def test_limits_of_other_models_are_left_alone():
    async def run():
        quota, who = quota_at(Clock()), key(limit("requests", 5), limit("requests", 1, pattern="other*"))
        for _ in range(3):
            await spend(quota, who, 1, 1)
        assert [standing.remaining for _, standing in await quota.standings(who, ("other",))] == [2, 1]

    asyncio.run(run())


def test_refusals_say_which_limit_and_for_how_long():
    async def run():
        clock = Clock()
        quota, who = quota_at(clock), key(limit("requests", 2))
        await spend(quota, who, 1, 1)
        await spend(quota, who, 1, 1)
        with pytest.raises(QuotaExceeded) as caught:
            await spend(quota, who, 1, 1)
        assert caught.value.message == (
            "Rate limit reached for m in organization acme on requests per min (RPM): Limit 2, Used 2, Requested 1. "
            "Please try again in 30s."
        )
        assert caught.value.retry_after == pytest.approx(30)
        clock.now += caught.value.retry_after
        await spend(quota, who, 1, 1)

    asyncio.run(run())


def test_a_limit_of_nothing_is_spent_for_good():
    async def run():
        with pytest.raises(QuotaSpent) as caught:
            await spend(quota_at(Clock()), key(limit("requests", 0)), 1, 1)
        assert caught.value.should_retry is False
        assert caught.value.type == "insufficient_quota"

    asyncio.run(run())


def test_reserve_is_replay_safe_and_settle_idempotent():
    async def run():
        store, tokens = MemoryQuotaStore(Clock()), limit("tokens", 100)
        first = await store.reserve("lease", [(tokens, 60)])
        assert await store.reserve("lease", [(tokens, 60)]) == first
        await store.settle("lease", {"requests": 1, "tokens": 25, "tokens_per_month": 25})
        await store.settle("lease", {"requests": 1, "tokens": 25, "tokens_per_month": 25})
        await store.reserve("lease", [(tokens, 60)])
        await store.settle("unknown", {"requests": 1, "tokens": 25})
        ((_, standing),) = await store.peek([tokens])
        assert standing.remaining == 75

    asyncio.run(run())


def test_old_leases_and_full_limits_take_no_memory():
    async def run():
        clock = Clock()
        store = MemoryQuotaStore(clock)
        for number in range(5000):
            lease, own = f"lease-{number}", limit("tokens", 100, f"key:{number}")
            await store.reserve(lease, [(own, 1)])
            await store.settle(lease, {"requests": 1, "tokens": 1})
            clock.now += 1
        assert len(store._settled) + len(store._states) + len(store._leases) < 4000

    asyncio.run(run())


@settings(derandomize=True)
@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 40), st.floats(0, 5)), max_size=40))
def test_no_window_admits_more_than_the_promise(steps):
    async def run():
        clock = Clock()
        quota, who = quota_at(clock), key(limit("tokens", 60))
        admitted = []
        for reserved, used, pause in steps:
            clock.now += pause
            try:
                await spend(quota, who, reserved, min(reserved, used))
            except TokenQuotaExceeded:
                continue
            admitted.append((clock.now, min(reserved, used)))
        for index, (begin, _) in enumerate(admitted):
            total = 0
            for moment, cost in admitted[index:]:
                total += cost
                assert total <= 60 + (moment - begin) + 0.01

    asyncio.run(run())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (-1, "0s"),
        (0.0001, "1ms"),
        (0.012, "12ms"),
        (0.9999, "1s"),
        (1, "1s"),
        (8.64, "8.64s"),
        (59.9991, "1m0s"),
        (360, "6m0s"),
        (61.5, "1m1.5s"),
        (3600, "1h0m0s"),
    ],
)
def test_durations_are_gos(seconds, text):
    assert go_duration(seconds) == text


def test_headers_show_the_tightest_limit_of_each_kind():
    async def run():
        clock = Clock()
        quota = quota_at(clock)
        who = key(limit("requests", 60), own=(limit("requests", 30, "key:k1"), limit("tokens", 1000, "key:k1")))
        reservation = await spend(quota, who, 100, 10)
        return dict(rate_headers(reservation.standings))

    assert asyncio.run(run()) == {
        b"x-ratelimit-limit-requests": b"30",
        b"x-ratelimit-remaining-requests": b"29",
        b"x-ratelimit-reset-requests": b"2s",
        b"x-ratelimit-limit-tokens": b"1000",
        b"x-ratelimit-remaining-tokens": b"990",
        b"x-ratelimit-reset-tokens": b"600ms",
    }
