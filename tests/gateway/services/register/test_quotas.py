from datetime import UTC, datetime, timedelta

import pytest

from gateway.errors import NotFound, RequestError
from gateway.services.register.keys import create_key
from gateway.services.register.quotas import list_quotas, set_quota
from gateway.services.register.tenants import create_tenant

pytestmark = pytest.mark.anyio


@pytest.fixture
async def key(write):
    await write(create_tenant, "acme")
    return await write(create_key, "acme")


async def limits(read, tenant="acme"):
    return [(quota.key_id, quota.model_pattern, quota.kind, quota.amount) for quota in await read(list_quotas, tenant)]


async def test_limits_are_kept_per_owner_pattern_and_kind(write, read, key) -> None:
    await write(set_quota, "acme", {"requests": 60, "tokens": 1000})
    await write(set_quota, "acme", {"tokens": 10}, model_pattern="big/*")
    replied = await write(set_quota, "acme", {"requests": 5}, key=key.id)
    assert await limits(read) == [
        (None, "*", "requests", 60),
        (None, "*", "tokens", 1000),
        (None, "big/*", "tokens", 10),
        (key.id, "*", "requests", 5),
    ]
    assert [(quota.key_id, quota.amount) for quota in replied] == [(key.id, 5)]


async def test_setting_again_replaces_none_removes_and_the_rest_stays(write, read, events, key) -> None:
    await write(set_quota, "acme", {"requests": 60, "tokens": 1000})
    await write(set_quota, "acme", {"requests": 70})
    await write(set_quota, "acme", {"tokens": None})
    await write(set_quota, "acme", {"tokens": None})
    assert await limits(read) == [(None, "*", "requests", 70)]
    changes = [(event.before, event.after) for event in await events() if event.action == "quota.set"]
    assert changes == [
        ({"model_pattern": "*", "requests": 70, "tokens": 1000}, {"model_pattern": "*", "requests": 70}),
        (
            {"model_pattern": "*", "requests": 60, "tokens": 1000},
            {"model_pattern": "*", "requests": 70, "tokens": 1000},
        ),
        ({"model_pattern": "*"}, {"model_pattern": "*", "requests": 60, "tokens": 1000}),
    ]


@pytest.mark.parametrize(
    ("amounts", "said"),
    [
        ({"requests": 0}, "0 requests per minute would stop everything; to do so, suspend the tenant"),
        ({"tokens": -5}, "-5 tokens per minute would stop everything"),
        ({"requests": 10**12}, "requests per minute is more than 10000000; for no limit, remove it"),
        ({"tokens": 2**80}, "tokens per minute is more than"),
        ({"requests": 5, "tokens": 0}, "0 tokens"),
        ({"concurrency": 0}, "0 requests at one time would stop everything"),
        ({"concurrency": 10**7}, "requests at one time is more than 1000000"),
        ({"tokens_per_month": -1}, "-1 tokens per month would stop everything"),
        ({"tokens_per_month": 10**16}, "tokens per month is more than"),
    ],
)
async def test_a_limit_that_can_not_be_meant_is_refused_and_nothing_changes(write, read, key, amounts, said) -> None:
    with pytest.raises(RequestError, match=said):
        await write(set_quota, "acme", amounts)
    assert await limits(read) == []


async def test_the_largest_limits_can_be_kept(write, read, key) -> None:
    largest = {"concurrency": 10**6, "requests": 10**7, "tokens": 10**12, "tokens_per_month": 10**15}
    await write(set_quota, "acme", largest)
    assert {kind: amount for *_, kind, amount in await limits(read)} == largest


@pytest.mark.parametrize("kind", ["requests", "tokens", "tokens_per_month", "concurrency"])
async def test_a_limit_that_a_wider_one_keeps_from_use_is_refused_with_the_wider_ones_amount(
    write, read, key, kind
) -> None:
    await write(set_quota, "acme", {kind: 60})
    for options in ({"key": key.id}, {"model_pattern": "big/*"}, {"key": key.id, "model_pattern": "big/*"}):
        with pytest.raises(RequestError, match=r"61 .* would never be reached: .* a wider limit of 60") as caught:
            await write(set_quota, "acme", {kind: 61}, **options)
        assert caught.value.param == kind
        await write(set_quota, "acme", {kind: 60}, **options)
    assert {quota.capped_by for quota in await read(list_quotas, "acme")} == {None}


async def test_limits_of_other_kinds_keys_and_models_cap_nothing(write, read, key) -> None:
    other = await write(create_key, "acme")
    await write(set_quota, "acme", {"requests": 5}, key=other.id)
    await write(set_quota, "acme", {"requests": 5}, model_pattern="big/*")
    await write(set_quota, "acme", {"tokens": 5})
    await write(set_quota, "acme", {"requests": 60}, key=key.id)
    await write(set_quota, "acme", {"requests": 60}, key=key.id, model_pattern="small/*")
    assert {quota.capped_by for quota in await read(list_quotas, "acme")} == {None}


async def test_a_tenant_can_always_be_lowered_and_what_that_makes_useless_is_said(write, read, key) -> None:
    await write(set_quota, "acme", {"requests": 60})
    await write(set_quota, "acme", {"requests": 50}, key=key.id)
    await write(set_quota, "acme", {"requests": 10})
    assert [(quota.amount, quota.capped_by) for quota in await read(list_quotas, "acme")] == [(10, None), (50, 10)]
    await write(set_quota, "acme", {"requests": 50}, key=key.id)  # as it is: nobody is bothered


async def test_a_monthly_limit_shows_what_the_ledger_has_of_this_month(write, read, key, use) -> None:
    other = await write(create_key, "acme")
    await write(create_tenant, "rival")
    rival = await write(create_key, "rival")
    this, month = datetime.now(UTC), {"tokens_per_month": 1000}
    last = this.replace(day=1, hour=0, minute=0, second=0, microsecond=0) - timedelta(hours=1)
    await write(set_quota, "acme", month)
    await write(set_quota, "acme", month, key=key.id)
    await write(set_quota, "acme", month, model_pattern="big/*")
    for who, model, tokens, time in (
        (key, "big/one", 100, this),
        (key, "small", 20, this),
        (other, "big/two", 3, this),
        (key, "small", 500, last),
        (rival, "small", 700, this),
    ):
        await use(who, model, tokens, time)
    shown = {(quota.key_id, quota.model_pattern): quota for quota in await read(list_quotas, "acme")}
    assert {owner: quota.used for owner, quota in shown.items()} == {
        (None, "*"): 123,
        (None, "big/*"): 103,
        (key.id, "*"): 120,
    }
    assert shown[None, "*"].percent == 12


async def test_another_tenants_key_can_not_be_limited(write, read, key) -> None:
    await write(create_tenant, "other")
    with pytest.raises(NotFound):
        await write(set_quota, "other", {"requests": 1}, key=key.id)
    assert await limits(read) == await limits(read, "other") == []
