import pytest

from gateway.errors import NotFound, RequestError
from gateway.services.keys import create_key
from gateway.services.quotas import list_quotas, set_quota
from gateway.services.tenants import create_tenant

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
    ],
)
async def test_a_limit_that_can_not_be_meant_is_refused_and_nothing_changes(write, read, key, amounts, said) -> None:
    with pytest.raises(RequestError, match=said):
        await write(set_quota, "acme", amounts)
    assert await limits(read) == []


async def test_the_largest_limits_can_be_kept(write, read, key) -> None:
    await write(set_quota, "acme", {"requests": 10**7, "tokens": 10**12})
    assert [limit[-1] for limit in await limits(read)] == [10**7, 10**12]


async def test_another_tenants_key_can_not_be_limited(write, read, key) -> None:
    await write(create_tenant, "other")
    with pytest.raises(NotFound):
        await write(set_quota, "other", {"requests": 1}, key=key.id)
    assert await limits(read) == await limits(read, "other") == []
