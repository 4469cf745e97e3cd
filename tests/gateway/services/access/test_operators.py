import pytest
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from gateway.db import queries
from gateway.errors import Conflict, NotFound, RequestError
from gateway.services.access import operators
from gateway.services.access.operators import (
    create_operator,
    find_operator,
    list_operators,
    new_password,
    remove_operator,
    set_password,
    verify_operator,
)
from gateway.services.access.outsiders import Outsider, admit_outsider
from gateway.services.register.tenants import create_tenant

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch) -> None:
    """The same algorithm at its lowest cost: these tests are about who is let in."""
    monkeypatch.setattr(operators, "PasswordHasher", lambda: PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


async def test_the_password_that_was_shown_lets_in_and_no_other(write, read) -> None:
    created = await write(create_operator, "ann", role="viewer")
    found = await read(verify_operator, "ann", created.password)
    assert (found.name, found.role) == ("ann", "viewer")
    for name, password in (
        ("ann", created.password + "x"),
        ("ann", ""),
        ("bob", created.password),
        ("\x00", "x"),
        ("ann", "\ud800"),
    ):
        assert await read(verify_operator, name, password) is None


async def test_a_password_is_kept_as_argon2id_and_shown_nowhere_else(write, read, events, database) -> None:
    created = await write(create_operator, "ann")
    async with database.reading() as session:
        kept = (await queries.operator(session, "ann")).password_hash
    assert kept.startswith("$argon2id$")
    for shown in (kept, created, await read(list_operators), await events()):
        assert created.password not in repr(shown)


async def test_the_hash_of_nobody_costs_as_much_as_a_real_one() -> None:
    with pytest.raises(VerifyMismatchError):
        PasswordHasher().verify(operators._NOBODY, "anything")
    assert PasswordHasher().check_needs_rehash(operators._NOBODY) is False


async def test_a_password_of_ones_own_must_be_long(write, read) -> None:
    with pytest.raises(RequestError, match="A password has 12 to 1000 characters"):
        await write(create_operator, "ann", password="short")
    with pytest.raises(RequestError, match="A password has 12 to 1000 characters"):
        await write(create_operator, "ann", password="x" * 1001)
    await write(create_operator, "ann", password="long enough for me")
    assert await read(verify_operator, "ann", "long enough for me") is not None


async def test_names_of_operators_are_unique_and_their_roles_known(write) -> None:
    await write(create_operator, "ann")
    with pytest.raises(Conflict, match="There is already an operator called 'ann'"):
        await write(create_operator, "ann")
    with pytest.raises(RequestError, match="'root' is no role of an operator; use admin, viewer, tenant_admin"):
        await write(create_operator, "bob", role="root")


@pytest.mark.parametrize("name", [".", "..", "a/b", "/", " ", "a\u202eb", "a" * 65])
async def test_a_name_that_no_address_could_end_in_is_refused(write, name) -> None:
    with pytest.raises(RequestError):
        await write(create_operator, name)
    with pytest.raises(RequestError):
        await write(admit_outsider, Outsider("issuer|1", name, "viewer"))
    await write(create_operator, "...")


async def test_an_operator_is_found_by_name(write, read) -> None:
    await write(create_operator, "ann")
    assert (await read(find_operator, "ann")).role == "admin"
    assert await read(find_operator, "bob") is None


def test_a_new_password_is_long_and_never_the_same() -> None:
    made = {new_password() for _ in range(100)}
    assert len(made) == 100
    assert all(len(password.replace("-", "")) == 20 for password in made)


async def test_a_tenant_admin_is_of_one_tenant_and_nobody_else_is(write, read) -> None:
    tenant = await write(create_tenant, "acme")
    made = await write(create_operator, "ann", role="tenant_admin", tenant="acme")
    assert (await read(find_operator, "ann")).tenant_id == made.tenant_id == tenant.id
    for role, of in (("tenant_admin", None), ("admin", "acme"), ("viewer", "acme")):
        with pytest.raises(RequestError, match="is of one tenant, and no other role is"):
            await write(create_operator, "bob", role=role, tenant=of)
    with pytest.raises(NotFound):
        await write(create_operator, "bob", role="tenant_admin", tenant="nowhere")


async def test_another_password_replaces_the_old_one_and_a_stale_change_is_refused(write, read, events) -> None:
    old = await write(create_operator, "ann")
    new = await write(set_password, "ann", version=old.version)
    assert await read(verify_operator, "ann", old.password) is None
    assert await read(verify_operator, "ann", new.password) is not None
    with pytest.raises(Conflict):
        await write(set_password, "ann", version=old.version)
    assert new.password not in repr(await events())


async def test_an_operator_who_was_removed_is_gone(write, read) -> None:
    made = await write(create_operator, "ann")
    await write(create_operator, "bob")
    await write(remove_operator, "ann")
    assert await read(verify_operator, "ann", made.password) is None
    with pytest.raises(NotFound, match="No operator is called 'ann'"):
        await write(remove_operator, "ann")
