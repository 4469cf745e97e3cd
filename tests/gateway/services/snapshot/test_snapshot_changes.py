"""Following changes one by one leads to the same snapshot as reading everything, and reads what changed alone."""

import contextlib
import random
from datetime import timedelta

import pytest

from gateway.db import policy_rows
from gateway.errors import Conflict, NotFound
from gateway.services.access.operators import create_operator
from gateway.services.register import aliases, audit, grants, keys, models, quotas, rotation, tenants
from gateway.services.register.models import NewModel
from gateway.services.snapshot.build import follow_snapshot, load_snapshot
from gateway.services.snapshot.entries import PolicySnapshot

pytestmark = pytest.mark.anyio


@pytest.fixture
def whole_loads(monkeypatch):
    """How often everything was read."""
    loads = []

    async def counted(session):
        loads.append(1)
        return await load_snapshot(session)

    monkeypatch.setattr("gateway.services.snapshot.build.load_snapshot", counted)
    return loads


class Register:
    """Changes of every kind, chosen by chance, by a service each."""

    def __init__(self, write, seed):
        self.write, self.chance = write, random.Random(seed)
        self.tenants, self.keys, self.models = [], [], []

    async def change(self):
        kinds = [kind for kind in dir(self) if kind.startswith("do_")]
        # Of what is not there, or not any more: nothing may change then either.
        with contextlib.suppress(NotFound, Conflict, IndexError):
            await getattr(self, self.chance.choice(kinds))()

    @property
    def tenant(self):
        return self.chance.choice(self.tenants)

    async def do_create_tenant(self):
        name = f"tenant {len(self.tenants)}"
        self.tenants.append((await self.write(tenants.create_tenant, name)).id)

    async def do_update_tenant(self):
        weight = self.chance.choice([0.5, 1, 2])
        await self.write(tenants.update_tenant, self.tenant, weight=weight, lane=self.chance.choice(tenants.LANES))

    async def do_suspend(self):
        await self.write(self.chance.choice([tenants.suspend_tenant, tenants.resume_tenant]), self.tenant)

    async def do_delete_tenant(self):
        if self.chance.random() < 0.3:
            await self.write(tenants.delete_tenant, self.tenant)

    async def do_create_key(self):
        tenant = self.tenant
        self.keys.append((tenant, (await self.write(keys.create_key, tenant)).id))

    async def do_update_key(self):
        await self.write(keys.update_key, self.chance.choice(self.keys)[1], name=self.chance.choice("abc"))

    async def do_rotate_key(self):
        tenant, key = self.chance.choice(self.keys)
        made = await self.write(rotation.rotate_key, key, overlap=timedelta(hours=self.chance.choice([0, 1])))
        self.keys.append((tenant, made.key.id))

    async def do_revoke_key(self):
        await self.write(keys.revoke_key, self.chance.choice(self.keys)[1])

    async def do_grant(self):
        tenant, key = self.chance.choice([*self.keys, (self.tenant, None)])
        pattern, deny = self.chance.choice(["*", "org/*"]), self.chance.random() < 0.3
        await self.write(grants.add_grant, tenant, pattern, key=key, deny=deny)

    async def do_remove_grant(self):
        tenant, key = self.chance.choice([*self.keys, (self.tenant, None)])
        await self.write(grants.remove_grant, tenant, "*", key=key)

    async def do_quota(self):
        tenant, key = self.chance.choice([*self.keys, (self.tenant, None)])
        amounts = {self.chance.choice(["requests", "tokens"]): self.chance.choice([None, 5, 10])}
        await self.write(quotas.set_quota, tenant, amounts, key=key)

    async def do_add_model(self):
        number = len(self.models)
        await self.write(models.add_model, NewModel(id=f"org/{99 - number}", aliases=(f"m{number}",)))
        self.models.append(f"m{number}")

    async def do_pin(self):
        await self.write(models.set_pinned, self.chance.choice(self.models), pinned=self.chance.random() < 0.5)

    async def do_remove_model(self):
        if self.chance.random() < 0.3:
            await self.write(models.remove_model, self.chance.choice(self.models))

    async def do_alias(self):
        await self.write(aliases.set_alias, self.tenant, self.chance.choice("xy"), self.chance.choice(self.models))

    async def do_remove_alias(self):
        await self.write(aliases.remove_alias, self.tenant, self.chance.choice("xy"))


@pytest.mark.parametrize("seed", range(4))
async def test_any_changes_followed_lead_to_what_reading_everything_says(write, read, whole_loads, seed) -> None:
    register = Register(write, seed)
    followed = await read(load_snapshot)
    for _ in range(60):
        for _ in range(register.chance.choice([1, 1, 3])):
            await register.change()
        followed = await read(follow_snapshot, followed)
        whole = await read(load_snapshot)
        assert followed == whole
        assert list(followed.models) == list(whole.models)  # the list that callers see is the same everywhere
        for key in followed.keys.values():
            assert key.tenant is followed.tenants[key.tenant.id]
    assert whole_loads == []
    assert len(followed.keys) > 2


async def test_what_did_not_change_is_the_same_object(write, read) -> None:
    for name in ("a", "b"):
        await write(tenants.create_tenant, name)
    made = {name: [await write(keys.create_key, name) for _ in range(2)] for name in ("a", "b")}
    await write(models.add_model, NewModel(id="org/m"))
    before = await read(load_snapshot)
    await write(keys.revoke_key, made["a"][0].id)
    after = await read(follow_snapshot, before)
    assert after.keys[made["a"][0].id].revoked
    for key in (made["a"][1], *made["b"]):
        assert after.keys[key.id] is before.keys[key.id]
    assert after.models is before.models
    await write(models.set_pinned, "org/m", pinned=True)
    pinned = await read(follow_snapshot, after)
    assert pinned.models["org/m"].pinned
    assert (pinned.keys, pinned.tenants) == (after.keys, after.tenants)
    assert pinned.keys is after.keys


async def test_one_change_reads_a_few_rows_however_many_there_are(write, database, monkeypatch) -> None:
    for number in range(30):
        tenant = await write(tenants.create_tenant, f"tenant {number}")
        key = await write(keys.create_key, tenant.id)
        await write(grants.add_grant, tenant.id, "*")
        await write(grants.add_grant, tenant.id, "*", key=key.id)
    read_rows = []
    all_of = policy_rows._all

    async def counted(session, *statement):
        rows = await all_of(session, *statement)
        read_rows.extend(rows)
        return rows

    monkeypatch.setattr(policy_rows, "_all", counted)
    async with database.reading() as session:
        last = await load_snapshot(session)
    assert len(read_rows) == 120
    read_rows.clear()
    await write(keys.revoke_key, key.id)
    async with database.reading() as session:
        await follow_snapshot(session, last)
    assert 1 <= len(read_rows) <= 3  # the key, its rules, those of its tenant beside them in the index


async def leave_gap(write, database):
    await write(tenants.create_tenant, "unseen")
    async with database.transaction() as session:
        [entry, *_] = await audit.list_events(session)
        await session.delete(await session.get(audit.AuditEvent, entry.id))
    await write(tenants.create_tenant, "seen")


async def change_too_much(write, database):
    for number in range(6):
        await write(tenants.create_tenant, f"tenant {number}")


async def change_the_unheard_of(write, database):
    async with database.transaction() as session:
        await audit.begin_change(session)
        audit.record(session, audit.Actor("a newer version", "tests"), "planet.add", "Mars")


async def go_back_in_time(write, database):
    async with database.transaction() as session:
        await audit.begin_change(session)
        session.info["policy revision's row"].revision = 0  # as after a backup was restored


@pytest.mark.parametrize("happen", [leave_gap, change_too_much, change_the_unheard_of, go_back_in_time])
async def test_where_the_log_does_not_tell_everything_is_read(
    write, read, database, whole_loads, monkeypatch, happen
) -> None:
    monkeypatch.setattr(policy_rows, "MOST_CHANGES", 5)
    await write(tenants.create_tenant, "acme")
    last = await read(load_snapshot)
    await happen(write, database)
    assert await read(follow_snapshot, last) == await read(load_snapshot)
    assert whole_loads == [1]


async def test_what_changes_no_policies_is_followed_without_reading_any(write, read, whole_loads) -> None:
    last = await read(load_snapshot)
    await write(create_operator, "ann")
    now = await read(follow_snapshot, last)
    assert (now.revision, now.keys, whole_loads) == (last.revision + 1, last.keys, [])


async def test_a_change_that_changes_nothing_moves_nothing(write, read) -> None:
    await write(tenants.create_tenant, "acme")
    last = await read(load_snapshot)
    await write(tenants.resume_tenant, "acme")
    await write(tenants.update_tenant, "acme", name="acme", weight=1)
    assert await read(follow_snapshot, last) is last


async def test_an_empty_register_is_followed_from_nothing(read, whole_loads) -> None:
    assert await read(follow_snapshot, PolicySnapshot(revision=-1)) == PolicySnapshot(revision=0)
    assert whole_loads == [1]
