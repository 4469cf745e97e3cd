from datetime import UTC, datetime, timedelta

import pytest
from argon2 import PasswordHasher
from sqlmodel import select

from gateway.db.tables import OperatorToken
from gateway.errors import NotFound, RequestError
from gateway.services.access import operator_tokens, operators
from gateway.services.access.operator_tokens import create_token, list_tokens, revoke_token, verify_token
from gateway.services.access.operators import create_operator, remove_operator
from gateway.services.register.tenants import create_tenant, delete_tenant

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch) -> None:
    """The same algorithm at its lowest cost: these tests are about tokens."""
    monkeypatch.setattr(operators, "PasswordHasher", lambda: PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


async def test_a_token_stands_for_its_operator_and_nothing_like_it_does(write, read) -> None:
    tenant = await write(create_tenant, "acme")
    await write(create_operator, "ann", role="tenant_admin", tenant="acme")
    made = await write(create_token, "ann", name="ci", read_only=True)
    bearer = await read(verify_token, made.token)
    assert (bearer.operator.name, bearer.operator.role, bearer.operator.tenant_id) == ("ann", "tenant_admin", tenant.id)
    assert (bearer.tenant_name, bearer.token.id, bearer.token.read_only) == ("acme", made.id, True)
    other = await write(create_token, "ann")
    for text in (
        made.token[:-1] + ("A" if made.token[-1] != "A" else "B"),
        made.token + "x",
        made.token.replace("op-", "sk-"),
        f"op-shoal-{made.id}-{other.token.rpartition(other.id + '-')[2]}",
        "op-shoal-aaaaaaaaaaaa-" + "A" * 43,
        "",
        made.token + "\n",
    ):
        assert await read(verify_token, text) is None


async def test_a_token_is_kept_as_a_hash_and_shown_nowhere_else(write, read, events, database) -> None:
    await write(create_operator, "ann")
    made = await write(create_token, "ann")
    secret = made.token.rpartition(made.id + "-")[2]
    async with database.reading() as session:
        [row] = (await session.scalars(select(OperatorToken))).all()
    for shown in (row, made, await read(list_tokens), await events()):
        assert secret not in repr(shown)


async def test_revoked_and_expired_tokens_are_out(write, read, monkeypatch) -> None:
    await write(create_operator, "ann")
    revoked = await write(create_token, "ann")
    assert (await write(revoke_token, revoked.token)).revoked_at == (await write(revoke_token, revoked.id)).revoked_at
    assert await read(verify_token, revoked.token) is None
    ending = await write(create_token, "ann", expires_at=datetime.now(UTC) + timedelta(hours=1))
    assert await read(verify_token, ending.token) is not None

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(hours=2)

    monkeypatch.setattr(operator_tokens, "datetime", Later)
    assert await read(verify_token, ending.token) is None


async def test_tokens_go_with_their_operator_and_operators_with_their_tenant(write, read) -> None:
    await write(create_tenant, "acme")
    await write(create_operator, "ann", role="tenant_admin", tenant="acme")
    await write(create_operator, "bob")
    await write(create_operator, "cid")
    of_ann, of_bob = await write(create_token, "ann"), await write(create_token, "bob")
    await write(remove_operator, "bob")
    assert await read(verify_token, of_bob.token) is None
    await write(delete_tenant, "acme")
    assert await read(verify_token, of_ann.token) is None
    assert await read(list_tokens) == []


async def test_a_pasted_token_is_not_repeated(write) -> None:
    with pytest.raises(NotFound) as refused:
        await write(revoke_token, "op-shoal-SECRET")
    assert "SECRET" not in refused.value.message
    with pytest.raises(NotFound, match="No operator is called 'nobody'"):
        await write(create_token, "nobody")
    await write(create_operator, "ann")
    with pytest.raises(RequestError, match="expired from the start"):
        await write(create_token, "ann", expires_at=datetime.now(UTC) - timedelta(seconds=1))
