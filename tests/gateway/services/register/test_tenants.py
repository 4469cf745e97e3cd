import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from gateway.db import queries
from gateway.errors import Conflict, NotFound, RequestError
from gateway.services.access.operators import create_operator, list_operators
from gateway.services.register.grants import add_grant
from gateway.services.register.keys import count_keys, create_key, list_keys, revoke_key
from gateway.services.register.tenants import (
    create_tenant,
    delete_tenant,
    find_tenant,
    list_tenants,
    resume_tenant,
    suspend_tenant,
    update_tenant,
)

pytestmark = pytest.mark.anyio


async def test_a_tenant_is_found_by_name_and_by_id(write, read) -> None:
    made = await write(create_tenant, "acme")
    assert await read(find_tenant, "acme") == await read(find_tenant, made.id) == made
    assert (made.name, made.suspended_at) == ("acme", None)


async def test_an_id_wins_over_a_name_that_looks_like_it(write, read) -> None:
    first = await write(create_tenant, "acme")
    second = await write(create_tenant, "other")
    impostor = f"{second.id[:-1]}{'a' if second.id[-1] != 'a' else 'b'}"
    await write(create_tenant, impostor)
    assert (await read(find_tenant, first.id)).name == "acme"
    with pytest.raises(Conflict):
        await write(create_tenant, first.id)


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "x" * 64,
        "Ünïcødé GmbH",
        "株式会社",
        "naïve café",
        "Ω",
        "עברית",
        "🐟",
        "o'brien; DROP TABLE tenant",
        "%_*",
        "a  b",
        "🐟" * 64,
        "❤️ Ⅳ ½",
        "Z\u0351\u0352algo",
    ],
)
async def test_any_printable_name_of_1_to_64_characters_is_kept_as_it_is(write, read, name) -> None:
    await write(create_tenant, name)
    assert (await read(find_tenant, name)).name == name


async def test_one_spelling_is_one_name(write, read) -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    await write(create_tenant, decomposed)
    assert (await read(find_tenant, composed)).name == composed
    with pytest.raises(Conflict, match="already a tenant called"):
        await write(create_tenant, composed)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "has 0 characters; 1 to 64 are allowed"),
        ("x" * 65, "has 65 characters; 1 to 64 are allowed"),
        ("🐟" * 65, "has 65 characters; 1 to 64 are allowed"),
        ("x" * 1_000_000, "has 1000000 characters; 1 to 64 are allowed"),
        ("\u0301", "begins with an accent that belongs to no letter"),
        *((name, "control or invisible characters, or a space at an end") for name in (
            "🐟\u200d🐟", "a\u2066b", "\ufeffa", "a\u00adb", "\u3164", "a\u2800", "\U000e0041", "\ue000", "\u2060a",
            "a\nb", "a\x00b", "a\x1b[31mb", "a\u202eb", "a\u200bb", "\ud800", " a", "a ", "\u00a0", "a\u2028b",
        )),
    ],
)  # fmt: skip
async def test_a_name_that_people_could_misread_is_refused_and_nothing_changes(write, read, events, name, said) -> None:
    with pytest.raises(RequestError, match=said):
        await write(create_tenant, name)
    assert await read(list_tenants) == []
    assert await events() == []


async def test_names_are_unique(write) -> None:
    await write(create_tenant, "acme")
    with pytest.raises(Conflict, match="There is already a tenant called 'acme'"):
        await write(create_tenant, "acme")


async def test_of_two_who_take_one_name_at_once_one_is_told(write, read) -> None:
    outcomes = await asyncio.gather(*(write(create_tenant, "acme") for _ in range(5)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes].count(Conflict) == 4
    assert len(await read(list_tenants)) == 1


async def test_suspending_and_resuming_again_changes_nothing(write, read, events) -> None:
    await write(create_tenant, "acme")
    first = await write(suspend_tenant, "acme")
    assert first.suspended_at is not None
    assert await write(suspend_tenant, "acme") == first
    assert (await write(resume_tenant, "acme")).suspended_at is None
    assert (await write(resume_tenant, "acme")).suspended_at is None
    assert [event.action for event in await events()] == ["tenant.resume", "tenant.suspend", "tenant.create"]


@pytest.mark.parametrize("name", ["nobody", "", "a\x00b", "\ud800", "%", "' OR 1=1 --"])
async def test_a_tenant_that_is_not_there_is_said_with_the_next_step(read, write, name) -> None:
    await write(create_tenant, "acme")
    with pytest.raises(NotFound, match=r"No tenant is called .*see: shoal tenant list"):
        await read(find_tenant, name)


async def test_tenants_are_listed_by_name(write, read) -> None:
    for name in ("b", "a", "c"):
        await write(create_tenant, name)
    assert [tenant.name for tenant in await read(list_tenants)] == ["a", "b", "c"]


async def test_a_tenant_gets_another_name_lane_and_weight_and_what_is_not_named_stays(write, read, events) -> None:
    made = await write(create_tenant, "acme", lane="bulk", weight=3)
    assert (made.lane, made.weight, made.version) == ("bulk", 3.0, 1)
    renamed = await write(update_tenant, "acme", name="Acme")
    assert (renamed.id, renamed.name, renamed.lane, renamed.weight) == (made.id, "Acme", "bulk", 3.0)
    changed = await write(update_tenant, "Acme", lane="interactive", weight=0.25)
    assert await read(find_tenant, made.id) == changed
    assert (changed.name, changed.lane, changed.weight, changed.version) == ("Acme", "interactive", 0.25, 3)
    assert await write(update_tenant, "Acme", lane="interactive", name="Acme") == changed
    assert [(event.before, event.after) for event in await events() if event.action == "tenant.update"] == [
        (
            {"name": "Acme", "lane": "bulk", "weight": 3.0},
            {"name": "Acme", "lane": "interactive", "weight": 0.25},
        ),
        ({"name": "acme", "lane": "bulk", "weight": 3.0}, {"name": "Acme", "lane": "bulk", "weight": 3.0}),
    ]


@pytest.mark.parametrize("wrong", [
    {"lane": "fast"}, {"lane": ""}, {"weight": 0}, {"weight": -1}, {"weight": 1e9}, {"weight": float("nan")},
    {"weight": float("inf")}, {"name": ""}, {"name": "a\u202eb"},
])  # fmt: skip
async def test_what_no_tenant_can_be_is_refused_and_nothing_changes(write, read, wrong) -> None:
    made = await write(create_tenant, "acme")
    with pytest.raises(RequestError):
        await write(update_tenant, "acme", **wrong)
    with pytest.raises(RequestError):
        await write(create_tenant, **({"name": "other"} | wrong))
    assert await read(list_tenants) == [made]


async def test_a_name_that_is_taken_is_no_new_name(write) -> None:
    await write(create_tenant, "acme")
    await write(create_tenant, "other")
    with pytest.raises(Conflict, match="already a tenant called 'acme'"):
        await write(update_tenant, "other", name="acme")


async def test_a_deleted_tenant_is_gone_with_all_that_is_its_own_and_nothing_else(write, read, events) -> None:
    made = await write(create_tenant, "acme")
    await write(create_tenant, "other")
    keys = {name: await write(create_key, name) for name in ("acme", "other")}
    for name in ("acme", "other"):
        await write(add_grant, name, "*")
        await write(add_grant, name, "*", key=keys[name].id)
        await write(create_operator, f"ann of {name}", role="tenant_admin", tenant=name)
    await write(create_operator, "root")
    await write(delete_tenant, "acme")
    assert [tenant.name for tenant in await read(list_tenants)] == ["other"]
    assert await read(queries.keys, made.id) == await read(queries.grants, made.id) == []
    assert [key.id for key in await read(list_keys, "other")] == [keys["other"].id]
    assert len(await read(queries.grants, (await read(find_tenant, "other")).id)) == 2
    assert [operator.name for operator in await read(list_operators)] == ["ann of other", "root"]
    [event] = [event for event in await events() if event.action == "tenant.delete"]
    assert (event.target, event.tenant_id, event.before["name"]) == (made.id, made.id, "acme")
    assert (event.before["keys"], event.before["operators"]) == ([keys["acme"].id], ["ann of acme"])
    with pytest.raises(NotFound):
        await write(delete_tenant, "acme")
    assert (await write(create_tenant, "acme")).id != made.id  # the name is free, and nobody inherits anything
    assert await read(list_keys, "acme") == []


async def test_tenants_are_searched_by_a_part_of_the_name_in_either_case_or_by_id(write, read) -> None:
    ids = {name: (await write(create_tenant, name)).id for name in ("Acme", "acme west", "50%_off", "505off")}

    async def found(like: str, after: str = "") -> list[str]:
        return [tenant.name for tenant in await read(list_tenants, like=like, after=after)]

    assert sorted(await found("ACM")) == ["Acme", "acme west"]
    assert await found("acm", after="Acme") == ["acme west"]
    assert await found("0%_") == ["50%_off"]
    assert await found(ids["505off"]) == ["505off"]
    assert await found("\0") == await found("x" * 5000) == []


async def test_keys_that_work_are_counted_by_tenant(write, read) -> None:
    ids = [(await write(create_tenant, name)).id for name in ("acme", "other", "none")]
    kept, revoked = await write(create_key, "acme"), await write(create_key, "acme")
    await write(revoke_key, revoked.id)
    await write(create_key, "other", expires_at=datetime.now(UTC) + timedelta(days=1))
    assert kept.tenant_id == ids[0]
    assert await read(count_keys, ids) == {ids[0]: 1, ids[1]: 1}
    assert await read(count_keys, [ids[1]]) == {ids[1]: 1}
