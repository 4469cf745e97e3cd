import json

import pytest

from gateway.db import queries
from gateway.errors import Conflict
from gateway.services.access.operators import create_operator
from gateway.services.register import audit
from gateway.services.register.audit import list_events
from gateway.services.register.grants import add_grant, remove_grant
from gateway.services.register.keys import create_key, parse_key, revoke_key
from gateway.services.register.models import NewModel, add_model, remove_model
from gateway.services.register.quotas import set_quota
from gateway.services.register.tenants import create_tenant, list_tenants, resume_tenant, suspend_tenant

pytestmark = pytest.mark.anyio


async def test_every_change_is_in_the_log_and_moves_the_revision(write, read, events) -> None:
    tenant = await write(create_tenant, "acme")
    key = await write(create_key, "acme")
    await write(add_grant, "acme", "*")
    await write(remove_grant, "acme", "*")
    await write(set_quota, "acme", {"requests": 5})
    await write(add_model, NewModel(id="org/m"))
    await write(remove_model, "org/m")
    await write(revoke_key, key.id)
    await write(suspend_tenant, "acme")
    await write(resume_tenant, "acme")
    operator = await write(create_operator, "ann")
    logged = await events()
    assert [(event.action, event.target) for event in reversed(logged)] == [
        ("tenant.create", tenant.id),
        ("key.create", key.id),
        ("grant.set", tenant.id),
        ("grant.remove", tenant.id),
        ("quota.set", tenant.id),
        ("model.add", "org/m"),
        ("model.remove", "org/m"),
        ("key.revoke", key.id),
        ("tenant.suspend", tenant.id),
        ("tenant.resume", tenant.id),
        ("operator.create", "ann"),
    ]
    assert {(event.actor, event.origin) for event in logged} == {("tester", "127.0.0.1")}
    assert await read(queries.policy_revision) == 11
    text = json.dumps([[event.before, event.after] for event in logged])
    assert parse_key(key.key)[1] not in text
    assert operator.password not in text


async def test_a_change_and_its_event_stand_or_fall_together(write, read, events, monkeypatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no event")

    monkeypatch.setattr(audit, "AuditEvent", fail)
    with pytest.raises(RuntimeError, match="no event"):
        await write(create_tenant, "acme")
    monkeypatch.undo()
    assert await read(list_tenants) == []
    assert await events() == []
    assert await read(queries.policy_revision) == 0


async def test_a_change_that_is_refused_leaves_no_event(write, read, events) -> None:
    await write(create_tenant, "acme")
    with pytest.raises(Conflict):
        await write(create_tenant, "acme")
    assert len(await events()) == 1
    assert await read(queries.policy_revision) == 1


async def test_the_log_is_read_page_by_page_newest_first(write, read) -> None:
    for number in range(5):
        await write(create_tenant, f"tenant {number}")
    first = await read(list_events, limit=2)
    second = await read(list_events, before=first[-1].id, limit=2)
    names = [event.after["name"] for event in (*first, *second)]
    assert names == ["tenant 4", "tenant 3", "tenant 2", "tenant 1"]
