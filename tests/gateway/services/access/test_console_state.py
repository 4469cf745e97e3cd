import asyncio
from functools import partial

import pytest
from sqlalchemy import text

from gateway.errors import Conflict, RequestError
from gateway.services.access.operators import create_operator, find_operator, remove_operator, set_password, set_role
from gateway.services.access.sessions import (
    begin_session,
    count_sessions,
    end_sessions,
    find_session_operator,
    list_sessions,
    reference,
    sign_out,
)
from gateway.services.access.sign_in_tries import Allowance, count_try, forget_tries, forgive_try
from gateway.services.register.audit import Actor, list_events
from gateway.services.register.tenants import create_tenant

pytestmark = pytest.mark.anyio
ACTOR = Actor("test", "here")
NOW = 1_800_000_000.0
COUNTS = ((b"a" * 32, Allowance(3, 60.0)), (b"b" * 32, Allowance(10, 10.0)))


@pytest.fixture
def change(database):
    async def call(service, *arguments):
        async with database.transaction() as session:
            return await service(session, *arguments)

    return call


@pytest.fixture
async def ada(change):
    """An admin with the sessions `one` and `two`, of an hour each, as they were when these began; `bea` is one, too."""
    await change(create_operator, ACTOR, "bea")
    made = await change(create_operator, ACTOR, "ada")
    ada = await change(find_operator, made.name)
    for name in ("one", "two"):
        assert await change(partial(begin_session, start=NOW, end=NOW + 3600), ada, name)
    return ada


async def test_a_session_lasts_until_it_is_ended(ada, change, read) -> None:
    assert await read(find_session_operator, "one", "ada") == ada
    assert await read(find_session_operator, "one", "eve") is None
    await change(sign_out, "one", NOW)
    assert await read(find_session_operator, "one", "ada") is None
    assert [one.ref for one in await read(list_sessions, "ada", NOW)] == [reference("two")]
    assert await read(list_sessions, "ada", NOW + 3600) == []
    assert (await read(count_sessions, NOW), await read(count_sessions, NOW + 3600)) == ({"ada": 1}, {})
    assert await change(end_sessions, ACTOR, "ada") == 1
    assert await change(end_sessions, ACTOR, "ada") == 0


async def test_another_password_ends_all_sessions(ada, change, read) -> None:
    await change(set_password, ACTOR, "ada")
    assert await read(list_sessions, "ada", NOW) == []


async def test_another_role_ends_all_sessions_and_the_same_one_none(ada, change, read) -> None:
    await change(partial(set_role, role="admin"), ACTOR, "ada")
    assert len(await read(list_sessions, "ada", NOW)) == 2
    await change(partial(set_role, role="viewer"), ACTOR, "ada")
    assert await read(list_sessions, "ada", NOW) == []


async def test_the_last_admin_stays(ada, change, read) -> None:
    await change(remove_operator, ACTOR, "bea")
    await change(partial(create_operator, role="viewer"), ACTOR, "eve")
    for service in (remove_operator, partial(set_role, role="viewer")):
        with pytest.raises(Conflict, match="'ada' is the last admin; make somebody else one first"):
            await change(service, ACTOR, "ada")
    await change(remove_operator, ACTOR, "eve")
    assert (await read(find_operator, "ada")).role == "admin"
    assert len(await read(list_sessions, "ada", NOW)) == 2


async def test_two_admins_who_remove_each_other_leave_one(ada, change, read) -> None:
    ended = await asyncio.gather(
        change(remove_operator, ACTOR, "ada"), change(remove_operator, ACTOR, "bea"), return_exceptions=True
    )
    assert sorted(isinstance(one, Conflict) for one in ended) == [False, True]


async def test_nobody_gets_in_by_a_password_that_was_changed_meanwhile(ada, change) -> None:
    await change(set_password, ACTOR, "ada")
    assert not await change(partial(begin_session, start=NOW, end=NOW + 3600), ada, "three")


async def test_who_comes_after_somebody_of_the_same_name_has_no_session_of_theirs(ada, change, read) -> None:
    await change(remove_operator, ACTOR, "ada")
    await change(create_operator, ACTOR, "ada")
    assert await read(find_session_operator, "one", "ada") is None


async def test_sessions_that_are_over_are_forgotten_when_somebody_signs_out(ada, change, database) -> None:
    await change(sign_out, "one", NOW + 3600)
    async with database.reading() as session:
        assert (await session.execute(text("SELECT count(*) FROM console_session"))).scalar() == 0


async def test_a_role_is_changed_with_its_tenant_and_stands_in_the_log(ada, change) -> None:
    await change(create_tenant, ACTOR, "acme")
    with pytest.raises(RequestError, match="give both or neither"):
        await change(partial(set_role, role="tenant_admin"), ACTOR, "ada")
    with pytest.raises(Conflict, match="changed meanwhile"):
        await change(partial(set_role, role="viewer", version=9), ACTOR, "ada")
    changed = await change(partial(set_role, role="tenant_admin", tenant="acme"), ACTOR, "ada")
    assert (changed.role, changed.version) == ("tenant_admin", 2)
    assert (await change(partial(set_role, role="tenant_admin", tenant="acme"), ACTOR, "ada")).version == 2
    [event] = [one for one in await change(partial(list_events, limit=9)) if one.action == "operator.role"]
    assert (event.before, event.after["role"]) == ({"role": "admin", "tenant": None}, "tenant_admin")


async def test_tries_count_in_all_or_none(change) -> None:
    assert [await change(count_try, COUNTS, NOW) for _ in range(4)] == [0.0, 0.0, 0.0, 60.0]
    assert [await change(count_try, COUNTS[1:], NOW) for _ in range(8)] == [0.0] * 7 + [10.0]


async def test_a_try_that_is_forgiven_is_free_again(change) -> None:
    for _ in range(3):
        await change(count_try, COUNTS, NOW)
    await change(forgive_try, COUNTS, NOW)
    assert await change(count_try, COUNTS, NOW) == 0.0
    assert await change(count_try, COUNTS, NOW) == 60.0


async def test_tries_at_the_same_time_are_counted_each(change) -> None:
    turned = tuple(reversed(COUNTS))
    waits = await asyncio.gather(*(change(count_try, COUNTS if n % 2 else turned, NOW) for n in range(10)))
    assert sorted(waits) == [0.0] * 3 + [60.0] * 7


async def test_what_is_drained_is_forgotten_and_of_the_rest_the_most_is_kept(change, database) -> None:
    for n in range(6):
        await change(count_try, ((bytes([n]) * 32, Allowance(5, 10.0 * (n + 1))),), NOW)
    await change(forget_tries, NOW + 20.0, 3)
    async with database.reading() as session:
        kept = (await session.execute(text("SELECT subject FROM sign_in_try ORDER BY subject"))).scalars().all()
    assert [bytes(subject)[0] for subject in kept] == [3, 4, 5]
