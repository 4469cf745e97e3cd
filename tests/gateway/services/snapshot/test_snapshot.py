from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from gateway.db.errors import DatabaseUnreachable
from gateway.db.session import Database
from gateway.services.register.aliases import set_alias
from gateway.services.register.grants import add_grant
from gateway.services.register.keys import create_key, hash_secret, parse_key, revoke_key
from gateway.services.register.models import NewModel, add_model, remove_model
from gateway.services.register.quotas import set_quota
from gateway.services.register.tenants import create_tenant, resume_tenant, suspend_tenant
from gateway.services.snapshot.build import load_snapshot
from gateway.services.snapshot.entries import KeyEntry, ModelEntry, TenantEntry
from gateway.services.snapshot.feed import SnapshotFeed
from policies.allowlist import Grant
from policies.quota import Limit

pytestmark = pytest.mark.anyio


class Unsteady:
    """A database that goes away and comes back."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.away = False

    @asynccontextmanager
    async def reading(self):
        if self.away:
            raise DatabaseUnreachable("gone fishing")
        async with self.database.reading() as session:
            yield session


@pytest.fixture
async def feed(database):
    feed = await SnapshotFeed.open(database, interval=0.01)
    yield feed
    await feed.close()


async def test_the_snapshot_holds_all_that_decides(write, read) -> None:
    end = datetime.now(UTC) + timedelta(days=1)
    tenant = await write(create_tenant, "acme", lane="bulk", weight=2.0)
    wide = await write(create_key, "acme", name="wide")
    narrow = await write(create_key, "acme", name="narrow", expires_at=end, scopes=("embeddings", "rerank"))
    await write(add_grant, "acme", "org/*")
    await write(add_grant, "acme", "org/secret", deny=True)
    await write(add_grant, "acme", "org/m", key=narrow.id)
    await write(set_quota, "acme", {"requests": 60, "tokens": 1000})
    await write(set_quota, "acme", {"tokens": 10}, key=narrow.id, model_pattern="org/m*")
    model = await write(add_model, NewModel(id="org/m", aliases=("m", "b"), pinned=True, dimensions=8, input_limit=512))
    await write(set_alias, "acme", "mine", "m")

    snapshot = await read(load_snapshot)

    subject = f"tenant:{tenant.id}"
    entry = TenantEntry(
        id=tenant.id,
        name="acme",
        suspended=False,
        grants=(Grant("org/*"), Grant("org/secret", deny=True)),
        limits=(Limit(subject, "requests", 60, tenant=tenant.id), Limit(subject, "tokens", 1000, tenant=tenant.id)),
        lane="bulk",
        weight=2.0,
        aliases={"mine": "org/m"},
    )
    assert snapshot.keys == {
        wide.id: KeyEntry(
            wide.id,
            "wide",
            hash_secret(parse_key(wide.key)[1]),
            entry,
            expires_at=None,
            revoked=False,
            grants=(),
            limits=(),
            lineage=wide.id,
        ),
        narrow.id: KeyEntry(
            narrow.id,
            "narrow",
            hash_secret(parse_key(narrow.key)[1]),
            entry,
            expires_at=end,
            revoked=False,
            grants=(Grant("org/m"),),
            limits=(Limit(f"key:{narrow.id}", "tokens", 10, "org/m*", tenant=tenant.id),),
            lineage=narrow.id,
            scopes=frozenset({"rerank", "embeddings"}),
        ),
    }
    assert snapshot.keys[wide.id].tenant is snapshot.keys[narrow.id].tenant
    assert set(snapshot.models) == {"org/m", "m", "b"}
    assert snapshot.models["org/m"] is snapshot.models["m"]
    assert snapshot.models["m"] == ModelEntry(
        id="org/m", aliases=("b", "m"), source="org/m", revision=None, pool="default", dtype=None, max_tokens=None,
        pinned=True, created=int(model.created_at.timestamp()), dimensions=8, input_limit=512,
    )  # fmt: skip


async def test_tenants_with_the_same_names_of_things_stay_apart(write, read) -> None:
    for name in ("a", "b"):
        await write(create_tenant, name)
    keys = {name: await write(create_key, name) for name in ("a", "b")}
    await write(add_grant, "a", "only-a")
    await write(set_quota, "b", {"requests": 1})
    snapshot = await read(load_snapshot)
    of_a, of_b = (snapshot.keys[keys[name].id].tenant for name in ("a", "b"))
    assert (of_a.grants, of_a.limits) == ((Grant("only-a"),), ())
    assert (of_b.grants, [limit.amount for limit in of_b.limits]) == ((), [1])


async def test_a_change_by_anybody_is_seen_within_the_interval(database_url, feed, actor, until) -> None:
    elsewhere = Database.open(database_url)  # what another process has

    async def write(service, *arguments):
        async with elsewhere.transaction() as session:
            return await service(session, actor, *arguments)

    await write(create_tenant, "acme")
    key = await write(create_key, "acme")
    await until(lambda: key.id in feed.current.keys)
    held = feed.current
    await write(revoke_key, key.id)
    await until(lambda: feed.current.keys[key.id].revoked)
    assert held.keys[key.id].revoked is False  # a request that has begun sees one state to its end
    await write(suspend_tenant, "acme")
    await until(lambda: feed.current.keys[key.id].tenant.suspended)
    await write(resume_tenant, "acme")
    await until(lambda: not feed.current.keys[key.id].tenant.suspended)
    await write(add_model, NewModel(id="org/m"))
    await until(lambda: "org/m" in feed.current.models)
    await write(remove_model, "org/m")
    await until(lambda: "org/m" not in feed.current.models)
    await elsewhere.close()


async def test_nothing_is_loaded_while_nothing_changes(write, database) -> None:
    await write(create_tenant, "acme")
    feed = SnapshotFeed(database)
    first = await feed.refresh()
    assert await feed.refresh() is first
    await write(suspend_tenant, "acme")
    assert (await feed.refresh()).revision == first.revision + 1


async def test_a_fresh_database_is_known_to_be_empty(feed) -> None:
    assert (feed.current.revision, feed.current.keys, feed.current.models, feed.failures) == (0, {}, {}, 0)


async def test_while_the_database_is_away_the_last_snapshot_stays_and_it_is_said_once(write, database) -> None:
    unsteady, now = Unsteady(database), [100.0]
    await write(create_tenant, "acme")
    key = await write(create_key, "acme")
    with capture_logs() as logs:
        feed = SnapshotFeed(unsteady, clock=lambda: now[0])
        good = await feed.refresh()
        unsteady.away = True
        now[0] = 107.0
        for _ in range(3):
            await feed._follow()
        assert (feed.current, feed.failures) == (good, 3)
        assert feed.age == 7.0
        with pytest.raises(DatabaseUnreachable):
            await feed.refresh()
        await write(revoke_key, key.id)
        unsteady.away = False
        await feed._follow()
        await feed._follow()
    assert feed.current.keys[key.id].revoked
    assert feed.age == 0.0
    assert [entry["event"] for entry in logs] == [
        "policies are not followed: the database is away",
        "policies are followed again",
    ]
    assert logs[0]["why"] == "gone fishing"


async def test_a_gateway_that_can_not_read_policies_at_all_does_not_start(database) -> None:
    unsteady = Unsteady(database)
    unsteady.away = True
    with pytest.raises(DatabaseUnreachable):
        await SnapshotFeed.open(unsteady, interval=0.01)
