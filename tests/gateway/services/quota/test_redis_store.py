import asyncio
from itertools import count

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gateway.redis_address import RedisAddress
from gateway.redis_client import RedisAway, RedisClient
from gateway.services.quota.memory_store import MemoryQuotaStore
from gateway.services.quota.redis_store import SCRIPT, RedisQuotaStore
from gateway.services.quota.reserving import LEASE_SECONDS
from policies.quota import Limit, moment_of, month_start

TENANT = "tn_1"
END_OF_JANUARY = month_start(2028 * 12 + 1)
USED = {"requests": 1, "tokens": 30, "tokens_per_month": 30}
NOTHING = {"requests": 0, "tokens": 0, "tokens_per_month": 0}
DAY = 86400
EXACT = settings(
    derandomize=True,
    deadline=None,
    phases=[Phase.generate],  # to shrink over a socket takes minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


class Clock:
    def __init__(self, now):
        self.now = now

    def __call__(self):
        return self.now


def limit(kind, amount, subject=f"tenant:{TENANT}", pattern="*", **more):
    return Limit(subject, kind, amount, pattern, tenant=TENANT, **more)


def store_at(url, clock=None):
    return RedisQuotaStore(RedisClient(RedisAddress.parse(url), 5.0), SCRIPT.read_bytes(), clock=clock)


def run(url, work, clock=None):
    async def with_store():
        store = store_at(url, clock)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(with_store())


def test_the_table_of_cases(quota_case, play_case, redis):
    clock = Clock(0.0)
    run(redis.url, lambda store: play_case(quota_case, store, clock), clock)


LIMITS = [
    limit("requests", 3),
    limit("tokens", 100),
    limit("tokens", 70, "key:k1", "*mini*"),
    limit("tokens", 40, period=7.0),
    limit("tokens_per_month", 300),
    limit("concurrency", 2),
    limit("requests", 0, "key:k2"),
]
chosen = st.lists(st.sampled_from(LIMITS[:-1]), min_size=1, max_size=4) | st.sampled_from([LIMITS, LIMITS[:1]])
costs = st.sampled_from([0, 1, 5, 10, 20, 35, 40, 70, 100, 101])
used = st.fixed_dictionaries({"requests": st.integers(0, 1), "tokens": st.sampled_from([0, 3, 10, 33, 150])})
pauses = st.floats(0, 20) | st.sampled_from([0.1, 0.6, 1.8, 7.0, 20.0, 60.0]) | st.floats(-100, 0)
leaps = st.sampled_from([-DAY, DAY, LEASE_SECONDS / 2, LEASE_SECONDS + 1, 31 * DAY])
steps = st.one_of(
    st.tuples(st.just("reserve"), chosen, costs),
    st.tuples(st.just("reserve"), chosen, costs),
    st.tuples(st.just("settle"), st.integers(0, 30), used),
    st.tuples(st.just("again"), st.integers(0, 30)),
    st.tuples(st.just("seed"), st.sampled_from([0, 0, 150, 290])),
    st.tuples(st.just("peek"), chosen),
    st.tuples(st.just("pass"), pauses),
    st.tuples(st.just("pass"), leaps),
)
begins = st.sampled_from([END_OF_JANUARY - 40, END_OF_JANUARY + 27 * DAY + 0.125, 1_000_000_000.1, 1e-3])


async def play(store, clock, begin, taken):
    """What a store answers to every step."""
    clock.now, numbers, open_leases, month = begin, count(), [], LIMITS[4]
    for name, *facts in taken:
        if name == "pass":
            clock.now = max(clock.now + facts[0], 0.0)
        elif name == "reserve":
            lease = f"lease-{next(numbers)}"
            charges = [(limit, facts[1] if "tokens" in limit.kind else 1) for limit in facts[0]]
            decision = await store.reserve(lease, charges)
            if decision.unseeded:
                await store.seed({month: 0}, decision.moment.month)
            if decision.allowed:
                open_leases.append((lease, charges))
            yield decision._replace(changes={}, left=()), list(decision.standings)
        elif name == "again" and open_leases:
            lease, charges = open_leases[facts[0] % len(open_leases)]
            yield (await store.reserve(lease, charges)).allowed
        elif name == "settle" and open_leases:
            lease, _ = open_leases.pop(facts[0] % len(open_leases))
            yield list(await store.settle(lease, {**facts[1], "tokens_per_month": facts[1]["tokens"]}))
        elif name == "seed":
            await store.seed({month: facts[0]}, moment_of(clock.now).month)
        elif name == "peek":
            yield list(await store.peek(facts[0]))


def test_what_is_foreseen_of_a_settlement_is_what_it_turns_out_to_be(redis):
    async def compare(store):
        charges = [(limit, 10 if "tokens" in limit.kind else 1) for limit in LIMITS[:-1]]
        await store.seed({LIMITS[4]: 50}, (await store.reserve("first", charges)).moment.month)
        await store.reserve("lease", charges)
        for lease, use in (("lease", USED), ("more", NOTHING)):
            await store.reserve(lease, charges)
            foreseen = store.foresee(lease, use)
            settled = await store.settle(lease, use)
            assert [limit for limit, _ in foreseen] == [limit for limit, _ in settled] == LIMITS[:-1]
            for (_, seen), (_, found) in zip(foreseen, settled, strict=True):
                assert seen.remaining == found.remaining
                assert seen.reset_after == pytest.approx(found.reset_after, abs=1.0)

    run(redis.url, compare)


def test_of_a_reservation_that_was_never_answered_nothing_is_foreseen(own_redis):
    async def ask(store):
        own_redis.kill()
        with pytest.raises(RedisAway):
            await store.reserve("lease", [(LIMITS[0], 1)])
        assert store.holds("lease")
        assert list(store.foresee("lease", USED)) == []

    run(own_redis.url, ask)


REQUESTS, TOKENS, MONTH = LIMITS[0], LIMITS[1], LIMITS[4]
RARE = {
    "a sum that misses by a rounding": (
        1000.1,
        [("reserve", [REQUESTS], 1)] * 3 + [("pass", 20.0), ("reserve", [REQUESTS], 1)] * 20,
    ),
    "a lease of January that is reaped in February": (
        END_OF_JANUARY - 10,
        [
            ("seed", 0),
            ("reserve", [MONTH], 40),
            ("pass", 20.0),
            ("reserve", [MONTH], 100),
            ("pass", LEASE_SECONDS - 15),
            ("reserve", [MONTH], 1),
            ("peek", [MONTH]),
        ],
    ),
    "a month to be seeded, and a state of the future": (
        END_OF_JANUARY + DAY,
        [
            ("reserve", [TOKENS], 100),
            ("pass", -30.0),
            ("reserve", [TOKENS, MONTH], 1),
            ("pass", 30.0),
            ("peek", [TOKENS]),
        ],
    ),
}


@pytest.mark.parametrize("name", RARE)
def test_what_chance_would_seldom_find_is_as_exact(redis, name):
    async def compare(store):
        begin, taken = RARE[name]
        expected = [answer async for answer in play(MemoryQuotaStore(clock), clock, begin, taken)]
        assert [answer async for answer in play(store, clock, begin, taken)] == expected

    clock = Clock(0.0)
    run(redis.url, compare, clock)


@settings(EXACT, max_examples=250)
@given(begins, st.lists(steps, min_size=25, max_size=60))
def test_the_script_agrees_with_the_pure_function_to_the_last_bit(redis, begin, taken):
    async def compare():
        redis.do("FLUSHALL")
        clock = Clock(begin)
        store = store_at(redis.url, clock)
        expected = [answer async for answer in play(MemoryQuotaStore(clock), clock, begin, taken)]
        try:
            assert [answer async for answer in play(store, clock, begin, taken)] == expected
        finally:
            await store.close()

    asyncio.run(compare())


@given(st.lists(st.floats(0, 32_000_000_000), min_size=1, max_size=50))
@settings(EXACT, max_examples=30)
def test_the_script_knows_every_month(redis, times):
    async def compare(store):
        for time in times:
            clock.now = time
            decision = await store.reserve("lease", [(LIMITS[4], 1)])
            assert decision.moment == moment_of(time)

    clock = Clock(0.0)
    run(redis.url, compare, clock)
