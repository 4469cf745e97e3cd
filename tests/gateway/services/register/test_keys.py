import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest

from gateway.db import queries
from gateway.errors import Conflict, NotFound, RequestError
from gateway.services.register.keys import (
    SCOPES,
    create_key,
    find_key,
    hash_secret,
    list_keys,
    parse_expiry,
    parse_key,
    revoke_key,
    update_key,
)
from gateway.services.register.tenants import create_tenant

pytestmark = pytest.mark.anyio

SECRET = "x" * 43
NOW = datetime(2026, 2, 27, 12, 0, tzinfo=UTC)


@pytest.fixture
async def tenant(write):
    return await write(create_tenant, "acme")


async def test_the_text_of_a_key_leads_to_its_row_and_its_secret_only_by_its_hash(write, database, tenant) -> None:
    created = await write(create_key, "acme", name="ci")
    key_id, secret = parse_key(created.key)
    assert key_id == created.id
    async with database.reading() as session:
        row = await queries.key(session, tenant.id, key_id)
    assert hmac.compare_digest(row.secret_sha256, hashlib.sha256(secret.encode()).digest())
    assert secret.encode() not in repr(row).encode()
    assert row.secret_sha256 == hash_secret(secret)


async def test_no_secret_is_shown_again(write, read, events, tenant) -> None:
    created = await write(create_key, "acme")
    secret = parse_key(created.key)[1]
    [listed] = await read(list_keys, "acme")
    assert listed.masked == f"sk-shoal-{created.id}-…"
    for shown in (listed, created, await events()):
        assert secret not in repr(shown)


async def test_every_key_is_another(write, tenant) -> None:
    made = [await write(create_key, "acme") for _ in range(20)]
    assert len({key.id for key in made}) == len({key.key for key in made}) == 20


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sk-shoal-",
        "sk-shoal-abcdefghijkl-",
        f"sk-abcdefghijkl-{SECRET}",
        f"sk-shoal-abcdefghijkl-{SECRET}x",
        f"sk-shoal-abcdefghijkl-{SECRET[1:]}",
        f"sk-shoal-ABCDEFGHIJKL-{SECRET}",
        f"sk-shoal-abcdefghijkl-{SECRET}\n",
        f" sk-shoal-abcdefghijkl-{SECRET}",
        f"sk-shoal-abcdefghijkl-{SECRET[1:]}ä",
        f"sk-shoal-abcdefghijk\u0661-{SECRET}",
    ],
)
def test_what_is_no_key_is_told_at_a_glance(text) -> None:
    assert parse_key(text) is None


async def test_a_revoked_key_stays_revoked_and_is_said_once(write, read, events, tenant) -> None:
    created = await write(create_key, "acme")
    first = await write(revoke_key, created.id)
    assert first.state(datetime.now(UTC)) == "revoked"
    assert await write(revoke_key, created.id) == first
    assert [event.action for event in await events()].count("key.revoke") == 1


async def test_a_key_is_revoked_by_all_that_may_be_known_of_it(write, tenant) -> None:
    for spelling in ("{0.id}", "{0.key}", "sk-shoal-{0.id}-…"):
        created = await write(create_key, "acme")
        assert (await write(revoke_key, spelling.format(created))).revoked_at is not None


async def test_another_tenants_key_is_not_found(write, read, tenant) -> None:
    created = await write(create_key, "acme")
    await write(create_tenant, "other")
    with pytest.raises(NotFound, match=f"No API key has the id '{created.id}'"):
        await write(revoke_key, created.id, tenant="other")
    assert (await read(list_keys, "acme"))[0].revoked_at is None
    assert await read(list_keys, "other") == []


async def test_an_unknown_key_is_said_and_a_pasted_secret_not_repeated(write, tenant) -> None:
    with pytest.raises(NotFound, match="No API key has the id 'abcdefghijkl'; see: shoal key list"):
        await write(revoke_key, "abcdefghijkl")
    with pytest.raises(NotFound, match="That is no API key's id") as raised:
        await write(revoke_key, "sk-proj-somebodyelsessecret")
    assert "secret" not in raised.value.message


async def test_a_key_of_no_tenant_is_refused(write) -> None:
    with pytest.raises(NotFound, match="No tenant is called 'nobody'"):
        await write(create_key, "nobody")


async def test_a_key_that_is_expired_from_the_start_is_refused(write, read, tenant) -> None:
    with pytest.raises(RequestError, match="expired from the start"):
        await write(create_key, "acme", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert await read(list_keys, "acme") == []


async def test_a_key_knows_when_it_is_over(write, read, tenant) -> None:
    end = datetime.now(UTC) + timedelta(days=1)
    await write(create_key, "acme", expires_at=end)
    [key] = await read(list_keys, "acme")
    assert key.expires_at == end
    assert key.state(end - timedelta(seconds=1)) == "active"
    assert key.state(end) == "expired"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("12h", "2026-02-28T00:00:00+00:00"),
        ("2d", "2026-03-01T12:00:00+00:00"),
        ("1w", "2026-03-06T12:00:00+00:00"),
        ("1y", "2027-02-27T12:00:00+00:00"),
        ("2026-02-28", "2026-03-01T00:00:00+00:00"),  # it works through that day
        ("2028-02-29", "2028-03-01T00:00:00+00:00"),
        ("2026-03-01T10:00", "2026-03-01T10:00:00+00:00"),
        ("2026-03-01T10:00+02:00", "2026-03-01T08:00:00+00:00"),
    ],
)
def test_an_expiry_is_a_duration_a_day_or_a_time(text, moment) -> None:
    assert parse_expiry(text, NOW) == datetime.fromisoformat(moment)


@pytest.mark.parametrize(
    "text", ["", "0d", "-1d", "d", "30", "99999y", "2026-02-30", "9999-12-31", "soon", "1.5d", "٣d"]
)
def test_what_is_no_expiry_is_refused_with_an_example(text) -> None:
    with pytest.raises(RequestError, match="is no expiry: use 12h, 30d, 2w, 1y or a date such as"):
        parse_expiry(text, NOW)


async def test_scopes_are_kept_in_one_order_and_taken_back(write, read, tenant) -> None:
    made = await write(create_key, "acme", scopes=["rerank", "embeddings", "rerank"])
    assert made.scopes == (await read(find_key, made.id)).scopes == ("embeddings", "rerank")
    assert (await write(update_key, made.id, scopes=list(SCOPES))).scopes == SCOPES
    assert (await write(update_key, made.id, scopes=None)).scopes is None


@pytest.mark.parametrize("scopes", [[], ["everything"], ["embeddings", "*"], [""], ["Embeddings"]])
async def test_what_is_no_scope_is_refused(write, read, tenant, scopes) -> None:
    made = await write(create_key, "acme", scopes=["models"])
    with pytest.raises(RequestError, match=r"is no scope of a key; use embeddings, rerank|could do nothing"):
        await write(update_key, made.id, scopes=scopes)
    with pytest.raises(RequestError):
        await write(create_key, "acme", scopes=scopes)
    assert [key.scopes for key in await read(list_keys, "acme")] == [("models",)]


async def test_a_key_gets_another_name_and_end_and_what_is_not_named_stays(write, events, tenant) -> None:
    end = datetime.now(UTC) + timedelta(days=1)
    made = await write(create_key, "acme", name="ci", scopes=["models"])
    named = await write(update_key, made.id, name="cd")
    assert (named.name, named.expires_at, named.scopes, named.version) == ("cd", None, ("models",), 2)
    ended = await write(update_key, made.id, expires_at=end)
    assert (ended.name, ended.expires_at, ended.scopes, ended.version) == ("cd", end, ("models",), 3)
    assert await write(update_key, made.id, expires_at=end, name="cd") == ended
    assert (await write(update_key, made.id, expires_at=None)).expires_at is None
    assert [event.action for event in await events()].count("key.update") == 3


async def test_a_key_can_not_be_changed_into_what_it_can_not_be(write, read, tenant) -> None:
    made = await write(create_key, "acme")
    with pytest.raises(RequestError, match="expired from the start"):
        await write(update_key, made.id, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    with pytest.raises(RequestError, match="key name"):
        await write(update_key, made.id, name="")
    await write(create_tenant, "other")
    with pytest.raises(NotFound):
        await write(update_key, made.id, tenant="other", name="mine")
    assert (await read(find_key, made.id)).version == 1
    await write(revoke_key, made.id)
    with pytest.raises(Conflict, match="is revoked; create another one"):
        await write(update_key, made.id, expires_at=None)
