import time
from datetime import timedelta

import pytest

from gateway.errors import NotFound
from gateway.services.quota.memory_store import MemoryQuotaStore
from gateway.services.register.keys import create_key, find_key
from gateway.services.register.quota_use import own_limits, with_use
from gateway.services.register.quotas import set_quota
from gateway.services.register.rotation import rotate_key
from gateway.services.register.tenants import create_tenant
from policies.quota import Limit

pytestmark = pytest.mark.anyio


class Away:
    async def peek(self, _limits):
        return ()


@pytest.fixture
async def tenant(write):
    return await write(create_tenant, "acme")


def used(infos):
    return {(info.model_pattern, info.kind): info.used for info in infos}


async def test_each_limit_shows_what_the_store_counts_of_it_and_months_what_the_ledger_does(
    write, read, tenant
) -> None:
    await write(set_quota, "acme", {"requests": 100, "concurrency": 4, "tokens_per_month": 1000})
    await write(set_quota, "acme", {"requests": 20}, model_pattern="big/*")
    moment = time.time()
    store = MemoryQuotaStore(lambda: moment)
    subject = f"tenant:{tenant.id}"
    every, few = Limit(subject, "requests", 100, tenant=tenant.id), Limit(subject, "concurrency", 4, tenant=tenant.id)
    await store.reserve("one", [(every, 30), (few, 3)])
    found = await with_use(store, await read(own_limits, "acme"))
    assert used(found) == {
        ("*", "requests"): 30,
        ("*", "concurrency"): 3,
        ("*", "tokens_per_month"): 0,
        ("big/*", "requests"): 0,
    }


async def test_a_key_draws_from_what_the_keys_before_it_used(write, read, tenant) -> None:
    old = await write(create_key, "acme")
    await write(set_quota, "acme", {"requests": 10}, key=old.id)
    store = MemoryQuotaStore()
    lineage = (await read(find_key, old.id)).lineage
    await store.reserve("one", [(Limit(f"key:{lineage}", "requests", 10, tenant=tenant.id), 7)])
    new = await write(rotate_key, old.id, overlap=timedelta(hours=1))
    assert used(await with_use(store, await read(own_limits, "acme", new.key.id)))[("*", "requests")] in {6, 7}


async def test_while_the_store_is_away_nobody_knows_of_rates_and_the_ledger_still_of_months(
    write, read, tenant
) -> None:
    await write(set_quota, "acme", {"requests": 100, "tokens_per_month": 1000})
    found = await with_use(Away(), await read(own_limits, "acme"))
    assert used(found) == {("*", "requests"): None, ("*", "tokens_per_month"): 0}


async def test_limits_of_another_tenants_key_are_not_there(write, read, tenant) -> None:
    key = await write(create_key, "acme")
    await write(create_tenant, "other")
    with pytest.raises(NotFound):
        await read(own_limits, "other", key.id)
    assert (await read(own_limits, "acme")).version == 1
