import pytest

from gateway.errors import Conflict, NotFound, RequestError
from gateway.services.register.grants import add_grant, list_grants, remove_grant, set_grants
from gateway.services.register.keys import create_key
from gateway.services.register.tenants import create_tenant, find_tenant

pytestmark = pytest.mark.anyio


@pytest.fixture
async def key(write):
    await write(create_tenant, "acme")
    return await write(create_key, "acme")


async def patterns(read, tenant="acme"):
    return [(grant.pattern, grant.deny, grant.key_id) for grant in await read(list_grants, tenant)]


async def test_grants_of_the_tenant_come_before_those_of_its_keys(write, read, key) -> None:
    await write(add_grant, "acme", "a*", key=key.id)
    await write(add_grant, "acme", "b*")
    await write(add_grant, "acme", "a/secret", deny=True)
    assert await patterns(read) == [("a/secret", True, None), ("b*", False, None), ("a*", False, key.id)]


async def test_the_same_pattern_again_takes_the_new_meaning_and_leaves_audit(write, read, events, key) -> None:
    await write(add_grant, "acme", "a*")
    await write(add_grant, "acme", "a*")
    await write(add_grant, "acme", "a*", deny=True)
    assert await patterns(read) == [("a*", True, None)]
    changes = [(event.before, event.after) for event in await events() if event.action == "grant.set"]
    assert changes == [
        ({"pattern": "a*", "deny": False}, {"pattern": "a*", "deny": True}),
        (None, {"pattern": "a*", "deny": False}),
    ]


async def test_removing_takes_only_what_was_named(write, read, key) -> None:
    await write(add_grant, "acme", "a*")
    await write(add_grant, "acme", "a*", key=key.id)
    await write(remove_grant, "acme", "a*")
    assert await patterns(read) == [("a*", False, key.id)]
    with pytest.raises(NotFound, match=r"The tenant 'acme' has no grant 'a\*'; see: shoal allow list"):
        await write(remove_grant, "acme", "a*")
    with pytest.raises(NotFound, match=f"The key {key.id} has no grant 'b'"):
        await write(remove_grant, "acme", "b", key=key.id)


async def test_another_tenants_key_can_not_be_narrowed(write, read, key) -> None:
    await write(create_tenant, "other")
    with pytest.raises(NotFound, match="No API key has the id"):
        await write(add_grant, "other", "*", key=key.id)
    assert await patterns(read) == await patterns(read, "other") == []


@pytest.mark.parametrize("pattern", ["", "a b", "ä*", "a\n", "x" * 201, "[ab]", "a'b", "\x00", "{a,b}"])
async def test_a_pattern_that_no_model_could_match_is_refused(write, read, key, pattern) -> None:
    with pytest.raises(RequestError, match="is no pattern of models: use letters, digits"):
        await write(add_grant, "acme", pattern)
    assert await patterns(read) == []


async def test_a_key_that_is_no_longer_kept_to_anything_is_said_to_be_widened(write, key) -> None:
    for pattern, deny in (("a", False), ("b", False), ("c", True)):
        await write(add_grant, "acme", pattern, key=key.id, deny=deny)
    await write(add_grant, "acme", "a")
    removed = [await write(remove_grant, "acme", pattern, key=key.id) for pattern in ("a", "c", "b")]
    assert [(removal.grant.pattern, removal.widened) for removal in removed] == [
        ("a", False),
        ("c", False),  # a denial that goes was no bound to begin with
        ("b", True),
    ]
    assert not (await write(remove_grant, "acme", "a")).widened  # a tenant without patterns may use nothing


async def test_grants_set_at_once_are_all_that_there_are_and_each_change_is_in_the_log(
    write, read, events, key
) -> None:
    await write(add_grant, "acme", "stays")
    await write(add_grant, "acme", "turns")
    await write(add_grant, "acme", "goes")
    await write(add_grant, "acme", "goes", key=key.id)
    gone = await write(set_grants, "acme", {"stays": False, "turns": True, "comes": False})
    of_tenant = [("comes", False, None), ("stays", False, None), ("turns", True, None)]
    assert await patterns(read) == [*of_tenant, ("goes", False, key.id)]
    assert [one.grant.pattern for one in gone] == ["goes"]
    said = [(event.action, (event.after or event.before)["pattern"]) for event in (await events())[:3]]
    assert said == [("grant.remove", "goes"), ("grant.set", "comes"), ("grant.set", "turns")]


async def test_grants_are_set_by_whoever_saw_them_or_not_at_all(write, read, key) -> None:
    await write(add_grant, "acme", "a*")
    seen = (await read(find_tenant, "acme")).version
    with pytest.raises(RequestError, match="is no pattern"):
        await write(set_grants, "acme", {"b*": False, "not one!": False}, version=seen)
    await write(set_grants, "acme", {"b*": False}, version=seen)
    with pytest.raises(Conflict, match="changed meanwhile"):
        await write(set_grants, "acme", {"c*": False}, version=seen)
    assert await patterns(read) == [("b*", False, None)]


async def test_a_key_whose_list_is_emptied_is_said_to_be_widened(write, read, key) -> None:
    await write(set_grants, "acme", {"a*": False, "b*": False}, key=key.id)
    gone = await write(set_grants, "acme", {}, key=key.id)
    assert [one.widened for one in gone] == [False, True]
    assert await patterns(read) == []


async def test_grants_of_another_tenants_key_can_not_be_set(write, read, key) -> None:
    await write(create_tenant, "other")
    with pytest.raises(NotFound, match="No API key has the id"):
        await write(set_grants, "other", {"*": False}, key=key.id)
    assert await patterns(read) == await patterns(read, "other") == []
