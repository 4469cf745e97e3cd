"""Two who change one thing at once: the second is told, whatever it is that they change, on both kinds of database."""

import asyncio
from datetime import timedelta

import pytest

from gateway.db.session import Database
from gateway.errors import Conflict
from gateway.services.register.aliases import remove_alias, set_alias
from gateway.services.register.grants import add_grant, remove_grant
from gateway.services.register.keys import create_key, find_key, revoke_key, update_key
from gateway.services.register.models import NewModel, add_model, find_model, remove_model, set_pinned
from gateway.services.register.quotas import set_quota
from gateway.services.register.rotation import rotate_key
from gateway.services.register.tenants import (
    create_tenant,
    delete_tenant,
    find_tenant,
    resume_tenant,
    suspend_tenant,
    update_tenant,
)

pytestmark = pytest.mark.anyio

TENANT = {
    "update": lambda write, version: write(update_tenant, "acme", weight=2, version=version),
    "suspend": lambda write, version: write(suspend_tenant, "acme", version=version),
    "resume": lambda write, version: write(resume_tenant, "acme", version=version),
    "delete": lambda write, version: write(delete_tenant, "acme", version=version),
    "grant": lambda write, version: write(add_grant, "acme", "new/*", version=version),
    "ungrant": lambda write, version: write(remove_grant, "acme", "*", version=version),
    "quota": lambda write, version: write(set_quota, "acme", {"requests": 7}, version=version),
    "alias": lambda write, version: write(set_alias, "acme", "new", "org/m", version=version),
    "unalias": lambda write, version: write(remove_alias, "acme", "mine", version=version),
}
KEY = {
    "update": lambda write, key, version: write(update_key, key, name="new", version=version),
    "revoke": lambda write, key, version: write(revoke_key, key, version=version),
    "rotate": lambda write, key, version: write(rotate_key, key, overlap=timedelta(hours=1), version=version),
    "grant": lambda write, key, version: write(add_grant, "acme", "new/*", key=key, version=version),
    "ungrant": lambda write, key, version: write(remove_grant, "acme", "*", key=key, version=version),
    "quota": lambda write, key, version: write(set_quota, "acme", {"tokens": 7}, key=key, version=version),
}
MODEL = {
    "pin": lambda write, version: write(set_pinned, "org/m", pinned=True, version=version),
    "remove": lambda write, version: write(remove_model, "org/m", version=version),
}


@pytest.fixture
async def key(write) -> str:
    """Of a tenant that has one of everything."""
    await write(create_tenant, "acme")
    made = await write(create_key, "acme")
    await write(add_model, NewModel(id="org/m"))
    await write(set_alias, "acme", "mine", "org/m")
    for of in (None, made.id):
        await write(add_grant, "acme", "*", key=of)
    return made.id


async def is_told(change, read, events) -> None:
    logged = await events()
    with pytest.raises(Conflict, match=r"It was changed meanwhile: you saw version \d+, it is at \d+ now") as no:
        await change
    assert no.value.code == "version_conflict"
    assert await events() == logged


@pytest.mark.parametrize("what", TENANT)
async def test_who_saw_an_older_tenant_is_told_and_nothing_changes(write, read, events, key, what) -> None:
    seen = (await read(find_tenant, "acme")).version
    await write(update_tenant, "acme", weight=5)
    await is_told(TENANT[what](write, seen), read, events)
    assert (await read(find_tenant, "acme")).weight == 5
    await TENANT[what](write, seen + 1)


@pytest.mark.parametrize("what", KEY)
async def test_who_saw_an_older_key_is_told_and_nothing_changes(write, read, events, key, what) -> None:
    seen = (await read(find_key, key)).version
    await write(update_key, key, name="first")
    await is_told(KEY[what](write, key, seen), read, events)
    assert (await read(find_key, key)).name == "first"
    await KEY[what](write, key, seen + 1)


@pytest.mark.parametrize("what", MODEL)
async def test_who_saw_an_older_model_is_told_and_nothing_changes(write, read, events, key, what) -> None:
    await write(set_pinned, "org/m", pinned=True)
    seen = (await read(find_model, "org/m")).version
    await write(set_pinned, "org/m", pinned=False)
    await is_told(MODEL[what](write, seen), read, events)
    await MODEL[what](write, seen + 1)


@pytest.mark.parametrize("what", sorted(set(TENANT) - {"resume", "delete"}))
async def test_each_change_of_a_tenant_or_of_what_is_its_own_counts(write, read, key, what) -> None:
    before = (await read(find_tenant, "acme")).version
    await TENANT[what](write, None)
    assert (await read(find_tenant, "acme")).version == before + 1


@pytest.mark.parametrize("what", KEY)
async def test_each_change_of_a_key_counts_and_not_as_one_of_its_tenant(write, read, key, what) -> None:
    before, of_tenant = (await read(find_key, key)).version, (await read(find_tenant, "acme")).version
    await KEY[what](write, key, None)
    assert (await read(find_key, key)).version == before + 1
    assert (await read(find_tenant, "acme")).version == of_tenant


async def test_of_many_who_change_one_thing_at_the_same_time_one_succeeds(database_url, actor, read, key) -> None:
    databases = [Database.open(database_url) for _ in range(4)]  # as many processes have
    seen = (await read(find_tenant, "acme")).version
    all_here = asyncio.Barrier(8)

    async def change(number: int) -> None:
        await all_here.wait()
        async with databases[number % 4].transaction() as session:
            await update_tenant(session, actor, "acme", weight=number + 2, version=seen)

    outcomes = await asyncio.gather(*map(change, range(8)), return_exceptions=True)
    [winner] = [number for number, outcome in enumerate(outcomes) if outcome is None]
    assert {type(outcome) for outcome in outcomes if outcome} == {Conflict}
    assert {outcome.code for outcome in outcomes if outcome} == {"version_conflict"}
    now = await read(find_tenant, "acme")
    assert (now.weight, now.version) == (winner + 2, seen + 1)
    for database in databases:
        await database.close()


async def test_who_states_no_version_overrules(write, read, key) -> None:
    await write(update_tenant, "acme", weight=5)
    await write(update_tenant, "acme", weight=6)
    assert (await read(find_tenant, "acme")).weight == 6
