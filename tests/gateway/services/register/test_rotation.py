from datetime import UTC, datetime, timedelta

import pytest

from gateway.errors import Conflict, NotFound, RequestError
from gateway.services.register.grants import add_grant, list_grants
from gateway.services.register.keys import create_key, find_key, list_keys, parse_key, revoke_key
from gateway.services.register.quotas import list_quotas, set_quota
from gateway.services.register.rotation import parse_overlap, rotate_key
from gateway.services.register.tenants import create_tenant
from gateway.services.snapshot.build import load_snapshot

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)


@pytest.fixture
async def old(write):
    await write(create_tenant, "acme")
    return await write(create_key, "acme", name="ci", scopes=["rerank"])


async def test_the_new_key_has_all_that_the_old_one_had(write, read, old) -> None:
    await write(add_grant, "acme", "org/*", key=old.id)
    await write(add_grant, "acme", "org/x", key=old.id, deny=True)
    await write(set_quota, "acme", {"requests": 5, "tokens": 7}, key=old.id, model_pattern="org/*")
    await write(set_quota, "acme", {"requests": 9})
    rotation = await write(rotate_key, old.id, overlap=DAY)
    new = rotation.key
    assert (rotation.old, new.name, new.scopes, new.tenant_id) == (old.id, "ci", ("rerank",), old.tenant_id)
    assert parse_key(new.key)[0] == new.id != old.id
    assert parse_key(new.key)[1] != parse_key(old.key)[1]
    grants, quotas = await read(list_grants, "acme"), await read(list_quotas, "acme")
    for rules, facts in ((grants, ("pattern", "deny")), (quotas, ("model_pattern", "kind", "amount"))):
        of = {key: [[getattr(rule, fact) for fact in facts] for rule in rules if rule.key_id == key] for key in (
            old.id, new.id, None)}  # fmt: skip
        assert of[old.id] == of[new.id] != []
    assert len([quota for quota in quotas if quota.key_id is None]) == 1


async def test_both_draw_from_the_same_limits_and_so_do_their_heirs(write, read, old) -> None:
    await write(set_quota, "acme", {"requests": 5}, key=old.id)
    second = (await write(rotate_key, old.id, overlap=DAY)).key
    third = (await write(rotate_key, second.id, overlap=DAY)).key
    entries = (await read(load_snapshot)).keys
    states = [[limit.state_key for limit in entries[key.id].limits] for key in (old, second, third)]
    assert states[0] == states[1] == states[2]
    assert len(states[0]) == 1
    assert {entries[key.id].lineage for key in (old, second, third)} == {old.id}


async def test_the_old_key_ends_when_the_overlap_does_or_when_it_would_have(write, read, old) -> None:
    began = datetime.now(UTC)
    rotation = await write(rotate_key, old.id, overlap=DAY)
    kept = await read(find_key, old.id)
    assert kept.expires_at == rotation.old_ends_at
    assert DAY <= kept.expires_at - began < DAY + timedelta(minutes=1)
    assert (kept.revoked_at, kept.version) == (None, 2)
    soon = datetime.now(UTC) + timedelta(hours=1)
    short = await write(create_key, "acme", expires_at=soon)
    assert (await write(rotate_key, short.id, overlap=DAY)).old_ends_at == soon
    assert (await read(find_key, short.id)).expires_at == soon


async def test_without_an_overlap_the_old_key_ends_at_once(write, read, old) -> None:
    rotation = await write(rotate_key, old.id, overlap=timedelta(0))
    states = {key.id: key.state(datetime.now(UTC)) for key in await read(list_keys, "acme")}
    assert states == {old.id: "revoked", rotation.key.id: "active"}


async def test_the_new_key_gets_as_much_time_as_the_old_one_was_given(write, old) -> None:
    assert (await write(rotate_key, old.id, overlap=DAY)).key.expires_at is None
    month = await write(create_key, "acme", expires_at=datetime.now(UTC) + 30 * DAY)
    new = (await write(rotate_key, month.id, overlap=DAY)).key
    assert abs(new.expires_at - (datetime.now(UTC) + 30 * DAY)) < timedelta(minutes=1)
    chosen = datetime.now(UTC) + 3 * DAY
    assert (await write(rotate_key, new.id, overlap=DAY, expires_at=chosen)).key.expires_at == chosen


async def test_what_can_not_be_rotated_stays_as_it_is(write, read, old) -> None:
    await write(create_tenant, "other")
    for overlap in (timedelta(seconds=-1), timedelta(days=91)):
        with pytest.raises(RequestError, match="for 0 to 90 days"):
            await write(rotate_key, old.id, overlap=overlap)
    with pytest.raises(RequestError, match="expired from the start"):
        await write(rotate_key, old.id, overlap=DAY, expires_at=datetime.now(UTC))
    with pytest.raises(NotFound):
        await write(rotate_key, old.id, overlap=DAY, tenant="other")
    await write(revoke_key, old.id)
    with pytest.raises(Conflict, match="has ended; create another one"):
        await write(rotate_key, old.id, overlap=DAY)
    assert len(await read(list_keys, "acme")) == 1


async def test_the_log_says_which_key_took_the_place_of_which_and_no_secret(write, events, old) -> None:
    rotation = await write(rotate_key, old.id, overlap=DAY)
    rotated, created, *_ = await events()
    assert (rotated.action, rotated.target, rotated.after["by"]) == ("key.rotate", old.id, rotation.key.id)
    assert (created.action, created.target, created.after["in_place_of"]) == ("key.create", rotation.key.id, old.id)
    assert {rotated.tenant_id, created.tenant_id} == {old.tenant_id}
    assert parse_key(rotation.key.key)[1] not in repr([rotated, created, rotation])


@pytest.mark.parametrize(("text", "length"), [("0", timedelta(0)), ("24h", DAY), ("2w", 14 * DAY)])
def test_an_overlap_is_a_length_of_time_or_none(text, length) -> None:
    assert parse_overlap(text) == length


@pytest.mark.parametrize("text", ["", "-1h", "soon", "2030-01-01", "0h"])
def test_what_is_no_length_of_time_is_refused(text) -> None:
    with pytest.raises(RequestError, match="is no length of time"):
        parse_overlap(text)
