import pytest

from gateway.db import queries
from gateway.errors import Conflict, NotFound, RequestError
from gateway.services.register.sealing import Sealer, Unreadable
from gateway.services.register.upstreams import (
    NewUpstream,
    add_upstream,
    checked_url,
    find_upstream,
    list_upstreams,
    remove_upstream,
    seal_anew,
    set_upstream_key,
)
from gateway.services.snapshot.build import follow_snapshot, load_snapshot

pytestmark = pytest.mark.anyio
SEALER, NEW_SEALER = Sealer(b"a" * 32), Sealer(b"b" * 32)
SECRET = "sk-provider-91c2d3e4f5a6b7c8"
NEW = NewUpstream(pool="openai", kind="openai", base_url="https://api.openai.com", key=SECRET)


async def rows(database):
    async with database.reading() as session:
        return await queries.upstreams(session)


async def test_its_key_is_kept_encrypted_for_this_row_alone(database, write):
    made = await write(add_upstream, NEW, SEALER)
    assert (made.base_url, made.has_key, made.version) == ("https://api.openai.com/v1", True, 1)
    (row,) = await rows(database)
    assert SECRET.encode() not in row.credential
    assert SEALER.unseal(row.credential, made.id) == SECRET
    other = await write(add_upstream, NEW, SEALER)
    with pytest.raises(Unreadable):
        SEALER.unseal(row.credential, other.id)


async def test_every_change_is_in_the_log_and_no_key_ever(write, events):
    made = await write(add_upstream, NEW, SEALER)
    await write(set_upstream_key, made.id, "another-key-0123456789", SEALER)
    await write(seal_anew, SEALER, NEW_SEALER)
    await write(set_upstream_key, made.id, None, None)
    await write(remove_upstream, made.id)
    log = await events()
    assert [event.action for event in reversed(log)] == [
        "upstream.add", "upstream.set_key", "upstream.rekey", "upstream.set_key", "upstream.remove",
    ]  # fmt: skip
    assert all(event.target == made.id for event in log)
    assert SECRET not in str(log)
    assert "another-key" not in str(log)
    assert "credential" not in str(log)


async def test_the_snapshot_follows_every_change(database, write):
    async def following(last):
        async with database.reading() as session:
            return await follow_snapshot(session, last)

    async with database.reading() as session:
        snapshot = await load_snapshot(session)
    assert snapshot.upstreams == {}
    first = await write(add_upstream, NEW, SEALER)
    second = await write(add_upstream, NewUpstream(pool="openai", kind="openai", base_url="http://b"), SEALER)
    third = await write(add_upstream, NewUpstream(pool="tei", kind="tei", base_url="http://c/"), SEALER)
    snapshot = await following(snapshot)
    assert {pool: [entry.id for entry in some] for pool, some in snapshot.upstreams.items()} == {
        "openai": [first.id, second.id],
        "tei": [third.id],
    }
    (entry,) = snapshot.upstreams["tei"]
    assert (entry.base_url, entry.credential) == ("http://c", None)
    assert "credential" not in repr(snapshot)
    await write(remove_upstream, third.id)
    snapshot = await following(snapshot)
    assert snapshot.upstreams.keys() == {"openai"}
    async with database.reading() as session:
        assert (await load_snapshot(session)).upstreams == snapshot.upstreams


async def test_another_secret_key_opens_all_afterwards_and_a_wrong_one_changes_nothing(database, write):
    made = [await write(add_upstream, NEW, SEALER) for _ in range(3)]
    with pytest.raises(RequestError, match="another secret key"):
        await write(seal_anew, NEW_SEALER, SEALER)
    assert await write(seal_anew, SEALER, NEW_SEALER) == 3
    assert {NEW_SEALER.unseal(row.credential, row.id) for row in await rows(database)} == {SECRET}
    assert {row.version for row in await rows(database)} == {2}
    assert len(made) == 3


async def test_who_changes_what_somebody_else_just_changed_is_told(write, read):
    made = await write(add_upstream, NEW, SEALER)
    await write(set_upstream_key, made.id, "k2", SEALER, version=1)
    with pytest.raises(Conflict):
        await write(set_upstream_key, made.id, "k3", SEALER, version=1)
    with pytest.raises(Conflict):
        await write(remove_upstream, made.id, version=1)
    assert (await read(find_upstream, made.id)).version == 2


async def test_a_pool_of_engine_nodes_a_key_without_a_sealer_and_unknown_ones_are_refused(write, read):
    with pytest.raises(Conflict, match="has engine nodes"):
        await write(add_upstream, NEW, SEALER, engine_pools={"openai"})
    with pytest.raises(RequestError, match="--secret-key"):
        await write(add_upstream, NEW, None)
    for key in ("", "a b", "a\nb", "schlüssel", "x" * 5000):
        with pytest.raises(RequestError):
            await write(add_upstream, NewUpstream(pool="p", kind="openai", base_url="http://h", key=key), SEALER)
    assert list(await read(list_upstreams)) == []
    for work in (find_upstream,):
        with pytest.raises(NotFound):
            await read(work, "nobody")


@pytest.mark.parametrize(
    ("text", "kind", "url"),
    [
        ("https://api.openai.com", "openai", "https://api.openai.com/v1"),
        ("https://api.openai.com/", "openai", "https://api.openai.com/v1"),
        ("https://api.openai.com/v1/", "openai", "https://api.openai.com/v1"),
        ("https://host/openai/v1", "openai", "https://host/openai/v1"),
        ("http://10.0.0.7:8000", "openai", "http://10.0.0.7:8000/v1"),
        ("http://[fd00::7]:8000", "tei", "http://[fd00::7]:8000"),
        ("http://tei:80/", "tei", "http://tei:80"),
    ],
)
async def test_addresses_are_taken_as_clients_are_given_them(text, kind, url):
    assert checked_url(text, kind) == url


@pytest.mark.parametrize(
    "text",
    ["", "h", "ftp://h", "http://", "http://u@h", "http://u:p@h", "http://h?x", "http://h#x", "http://h/../x",
     "http://h/ x", "http://h\r\nx: y", "http://h/%2e%2e", "//h", "http:///v1", "http://h:port",
     "http://[:::::]/v1", "http://[1:2]:80", "http://256.256.256.256", "http://h:0", "http://h:99999", "http://.h",
     "http://xn--a", "http://" + "a" * 64 + ".com"],
)  # fmt: skip
async def test_what_is_no_address_is_refused(text):
    with pytest.raises(RequestError, match="no address of an upstream"):
        checked_url(text, "openai")
