import asyncio
import gc

import pytest
import structlog

from gateway.errors import ConcurrencyExceeded, Unavailable
from gateway.observability import GatewayMetrics
from gateway.services.quota.outage import GuardedQuotaStore
from gateway.services.quota.redis_store import RedisQuotaStore
from gateway.services.quota.reserving import NOTHING, Quota
from gateway.services.snapshot.entries import KeyEntry, TenantEntry
from policies.quota import Limit

TOKENS = Limit("tenant:tn_1", "tokens", 100, tenant="tn_1")
PLACES = Limit("tenant:tn_1", "concurrency", 3, tenant="tn_1")
ONE_PLACE = Limit("tenant:tn_1", "concurrency", 1, tenant="tn_1")
CHARGES = [(TOKENS, 60), (PLACES, 1)]
USED = {"requests": 1, "tokens": 10, "tokens_per_month": 10}


class NoLedger:
    def note(self, standings):
        pass


def guarded(redis, work, rule="deny", timeout=0.1):
    """Play `work` on a guarded store."""

    async def play():
        metrics = GatewayMetrics([])
        store = GuardedQuotaStore(RedisQuotaStore.open(redis.url, timeout), rule, metrics)
        try:
            await work(store, metrics)
        finally:
            await store.close()

    asyncio.run(play())


def figure(metrics, name):
    [line] = [line for line in metrics.render().decode().splitlines() if line.startswith(name + " ")]
    return float(line.rpartition(" ")[2])


async def remaining(store):
    return [standing.remaining for _, standing in await store.peek([TOKENS, PLACES])]


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


def test_while_redis_is_gone_requests_are_denied_and_afterwards_counted_again(own_redis):
    async def work(store, metrics):
        with structlog.testing.capture_logs() as said:
            own_redis.kill()
            for _ in range(5):
                with pytest.raises(Unavailable) as caught:
                    await store.reserve("lease", CHARGES)
            assert caught.value.code == "quota_unavailable"
            assert caught.value.retry_after == 1.0
            assert figure(metrics, "shoal_gateway_quota_store_up") == 0
            assert figure(metrics, 'shoal_gateway_quota_outages_total{decision="deny"}') == 5
            own_redis.start()
            await until(lambda: store.up)
        assert figure(metrics, "shoal_gateway_quota_store_up") == 1
        assert [entry["event"] for entry in said] == ["quota store away", "quota store back"]
        assert said[0]["requests"] == "denied"
        assert said[1]["requests_deny"] == 5
        assert (await store.reserve("next", CHARGES)).allowed
        assert await remaining(store) == [40, 2]

    guarded(own_redis, work)


def test_where_the_rule_allows_requests_pass_uncounted(own_redis):
    async def work(store, metrics):
        own_redis.kill()
        for number in range(5):
            decision = await store.reserve(f"lease-{number}", CHARGES)
            assert decision.allowed
            assert list(decision.standings) == []
        for number in range(5):
            assert list(await store.settle(f"lease-{number}", USED)) == []
        assert list(await store.peek([TOKENS])) == []
        assert figure(metrics, 'shoal_gateway_quota_outages_total{decision="allow"}') == 5
        own_redis.start()
        await until(lambda: store.up)
        assert await remaining(store) == [100, 3]

    guarded(own_redis, work, "allow")


def test_nobody_waits_for_a_store_that_is_known_to_hang(own_redis):
    async def work(store, metrics):
        assert (await store.reserve("first", CHARGES)).allowed
        own_redis.freeze()
        with pytest.raises(Unavailable):
            await store.reserve("second", CHARGES)
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number in range(1000):
            with pytest.raises(Unavailable):
                await store.reserve(f"lease-{number}", CHARGES)
        assert loop.time() - began < 0.5
        own_redis.thaw()
        await until(lambda: store.up)

    guarded(own_redis, work)


def test_what_could_not_be_settled_is_settled_when_the_store_is_back(own_redis):
    async def work(store, metrics):
        assert (await store.reserve("served", CHARGES)).allowed
        own_redis.freeze()
        await store.settle("served", USED)
        await until(lambda: not store.up)
        own_redis.thaw()
        await until(lambda: store.up and not store._unsettled)
        assert await remaining(store) == [90, 3]

    guarded(own_redis, work)


def test_a_settlement_is_sent_before_the_request_goes_on_and_nobody_waits_for_its_reply(own_redis):
    async def work(store, metrics):
        await store.reserve("lease", CHARGES)
        settling = store.settle("lease", USED)
        with pytest.raises(StopIteration) as returned:
            settling.send(None)  # whatever it waited for would be handed out here
        assert own_redis.do("EXISTS", f"shoal:{{tn_1}}:{PLACES.state_key}") == 0
        assert [standing.remaining for _, standing in returned.value.value] == [90, 3]

    guarded(own_redis, work)


def test_settlements_that_fail_together_are_said_once_and_all_made_later(own_redis):
    async def work(store, metrics):
        unexpected = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unexpected.append(context))
        many = Limit("tenant:tn_1", "concurrency", 50, tenant="tn_1")
        for number in range(50):
            assert (await store.reserve(f"lease-{number}", [(many, 1)])).allowed
        own_redis.freeze()
        with structlog.testing.capture_logs() as said:
            for number in range(50):
                await store.settle(f"lease-{number}", USED)
            await until(lambda: not store.up and not store._settling)
            assert len(store._unsettled) == 50
            own_redis.thaw()
            await until(lambda: store.up and not store._unsettled)
        assert [entry["event"] for entry in said] == ["quota store away", "quota store back"]
        [(_, standing)] = await store.peek([many])
        assert standing.remaining == 50
        gc.collect()
        assert unexpected == []

    guarded(own_redis, work)


def test_closing_waits_for_the_settlements_that_are_under_way(redis):
    async def work(store, metrics):
        await store.reserve("lease", CHARGES)
        redis.do("SCRIPT", "FLUSH")  # so that one reply is not the end of it
        await store.settle("lease", USED)

    guarded(redis, work, timeout=2.0)
    assert redis.do("EXISTS", f"shoal:{{tn_1}}:{PLACES.state_key}") == 0


def test_a_client_that_waits_for_each_answer_never_meets_its_own_place(redis):
    async def work(store, metrics):
        quota = Quota(store, NoLedger())
        tenant = TenantEntry("tn_1", "acme", suspended=False, grants=(), limits=(ONE_PLACE,))
        key = KeyEntry("k1", "key", b"", tenant, None, revoked=False, grants=(), limits=())
        for _ in range(200):
            async with quota.reserve(key, ("mini",), model="mini", tokens=5) as reservation:
                reservation.used = 3
        first, second = (quota.reserve(key, ("mini",), model="mini", tokens=5) for _ in range(2))
        async with first:
            with pytest.raises(ConcurrencyExceeded):
                await second.__aenter__()

    guarded(redis, work, timeout=2.0)


def test_a_reservation_whose_answer_never_came_keeps_nothing(own_redis):
    async def work(store, metrics):
        assert await remaining(store) == [100, 3]
        own_redis.freeze()
        with pytest.raises(Unavailable):
            await store.reserve("lost", CHARGES)  # it lies in the server's socket and will be carried out
        own_redis.thaw()
        await until(lambda: store.up and not store._unsettled)
        assert await remaining(store) == [100, 3]

    guarded(own_redis, work)


def test_a_caller_who_leaves_while_the_store_decides_keeps_nothing(redis):
    async def work(store, metrics):
        await remaining(store)
        for call in (store.reserve("lease", CHARGES),):
            leaving = asyncio.create_task(call)
            await asyncio.sleep(0)
            leaving.cancel()
            await asyncio.wait([leaving])
        await until(lambda: not store._unsettled)
        assert await remaining(store) == [100, 3]

    guarded(redis, work)


def test_a_settlement_that_is_cut_off_is_made_all_the_same(redis):
    async def work(store, metrics):
        await store.reserve("lease", CHARGES)
        leaving = asyncio.create_task(store.settle("lease", USED))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.wait([leaving])
        await until(lambda: not store._unsettled)
        assert await remaining(store) == [90, 3]

    guarded(redis, work)


def test_a_store_that_restarts_empty_serves_on_and_old_leases_change_nothing(own_redis):
    async def work(store, metrics):
        assert (await store.reserve("before", CHARGES)).allowed
        own_redis.kill()
        own_redis.start()
        assert (await store.reserve("after", [(TOKENS, 30), (PLACES, 1)])).allowed
        await store.settle("before", USED)
        assert await remaining(store) == [70, 2]
        await store.settle("after", NOTHING)
        assert await remaining(store) == [100, 3]
        assert figure(metrics, 'shoal_gateway_quota_outages_total{decision="deny"}') == 0

    guarded(own_redis, work, timeout=2.0)


def test_a_store_that_may_not_write_is_away(redis, own_redis):
    async def work(store, metrics):
        assert (await store.reserve("before", CHARGES)).allowed
        own_redis.do("REPLICAOF", "127.0.0.1", redis.port)
        with pytest.raises(Unavailable):
            await store.reserve("lease", [(TOKENS, 10)])
        assert not store.up
        own_redis.do("REPLICAOF", "NO", "ONE")
        await until(lambda: store.up)

    guarded(own_redis, work)


def test_only_so_many_settlements_are_kept(own_redis, monkeypatch):
    monkeypatch.setattr("gateway.services.quota.outage.MOST_UNSETTLED", 10)

    async def work(store, metrics):
        many = Limit("tenant:tn_1", "concurrency", 1000, tenant="tn_1")
        for number in range(30):
            assert (await store.reserve(f"lease-{number}", [(many, 1)])).allowed
        own_redis.kill()
        for number in range(30):
            await store.settle(f"lease-{number}", USED)
            await until(lambda: not store._settling)
        assert list(store._unsettled) == [f"lease-{number}" for number in range(20, 30)]
        assert set(store._store._leases) - {"probe"} == set(store._unsettled)

    guarded(own_redis, work)


def test_a_store_that_is_away_at_the_start_is_found_out_before_the_first_request(own_redis):
    own_redis.kill()

    async def work(store, metrics):
        await until(lambda: not store.up)
        own_redis.start()
        await until(lambda: store.up)
        assert (await store.reserve("lease", CHARGES)).allowed

    guarded(own_redis, work)
