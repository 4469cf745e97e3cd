"""Batches are judged and paid for like any other requests, by whoever made them, at the time at which they run."""

from datetime import timedelta

import pytest
from sqlmodel import select

from gateway.db.tables import Batch, File, UsageHour
from gateway.services.bulk import asking, run, worker
from gateway.services.register import grants, keys, quotas, rotation, tenants


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(asking, "MOST_WAITING", 0.05)
    monkeypatch.setattr(asking, "pause", lambda standings: 0.0)


def rows(gateway, table, **values):
    async def read():
        async with gateway.services.database.reading() as session:
            found = await session.scalars(select(table).filter_by(**values))
            return list(found)

    return gateway.run(read())


def test_every_line_has_its_own_usage_record(gateway_under_test, caller, client, line, start, ended, read):
    lines = [line("a", "one two"), line("b", ["x", "y z"]), line("c", "__error bad_request__")]
    batch = ended(client, start(client, lines))
    records = {row.request_id: row for row in gateway_under_test.usage(caller)}
    results = read(client, batch.output_file_id) + read(client, batch.error_file_id)
    assert records.keys() == {one["response"]["request_id"] for one in results}
    told = [records[one["response"]["request_id"]] for one in results]
    assert [(row.status, row.inputs, row.tokens) for row in told] == [(200, 1, 4), (200, 2, 7), (400, 1, 0)]
    assert {(row.lane, row.endpoint, row.model) for row in told} == {("bulk", "/v1/embeddings", "tests/mini")}
    assert batch.usage.total_tokens == batch.usage.input_tokens == 11
    (hour,) = rows(gateway_under_test, UsageHour, key_id=caller.key_id, lane="bulk")
    assert (hour.requests, hour.failed, hour.inputs, hour.tokens) == (3, 1, 4, 11)


def test_a_batch_waits_for_its_quota_and_leaves_it_as_it_should_be(gateway_under_test, client_of, line, start, ended):
    limited = gateway_under_test.caller(requests=40)
    client = client_of(limited)
    made = start(client, [line(f"r{number}") for number in range(60)])
    gateway_under_test.wait_until(lambda: client.batches.retrieve(made.id).status == "in_progress")
    gateway_under_test.wait_until(lambda: gateway_under_test.embed(limited, {"input": "x"}).status_code == 429)
    assert client.batches.retrieve(made.id).status == "in_progress"
    gateway_under_test.change(quotas.set_quota, limited.tenant, {"requests": 100_000})
    batch = ended(client, made)
    assert (batch.status, batch.request_counts.completed) == ("completed", 60)


def test_tokens_are_settled_to_what_was_used(gateway_under_test, client_of, line, start, ended):
    limited = gateway_under_test.caller(tokens_per_month=1000)
    client = client_of(limited)
    batch = ended(client, start(client, [line(f"r{number}", "a few more words") for number in range(20)]))
    reply = gateway_under_test.request("GET", "/v1/models", limited)
    assert int(reply.headers["x-ratelimit-remaining-tokens"]) == 1000 - batch.usage.total_tokens == 1000 - 20 * 6


def test_what_no_wait_would_let_in_fails(gateway_under_test, client_of, line, start, ended, read):
    limited = gateway_under_test.caller(tokens=100)
    client = client_of(limited)
    batch = ended(client, start(client, [line("small"), line("large", "word " * 60), line("other")]))
    assert [one["custom_id"] for one in read(client, batch.output_file_id)] == ["small", "other"]
    (failure,) = read(client, batch.error_file_id)
    assert failure["response"]["body"]["error"]["code"] == "max_tokens_per_request"
    assert len(gateway_under_test.usage(limited)) == 2


def test_models_are_those_that_the_key_may_use_when_a_line_runs(
    gateway_under_test, client_of, line, start, ended, read
):
    limited = gateway_under_test.caller(allow=["tests/mini"])
    client = client_of(limited)
    batch = ended(client, start(client, [line("a"), line("b", model="tests/secret")]))
    assert [error.code for error in batch.errors.data] == ["model_not_found"]
    gateway_under_test.change(quotas.set_quota, limited.tenant, {"requests": 1})
    assert gateway_under_test.embed(limited, {"input": "x"}).status_code == 200
    waiting = start(client, [line("a"), line("b")])
    gateway_under_test.wait_until(lambda: client.batches.retrieve(waiting.id).status == "in_progress")
    gateway_under_test.change(grants.add_grant, limited.tenant, "tests/*", deny=True)
    batch = ended(client, waiting)
    assert (batch.status, batch.request_counts.failed) == ("completed", 2)
    assert {one["response"]["status_code"] for one in read(client, batch.error_file_id)} == {404}


@pytest.fixture
def held_up(gateway_under_test, client_of, line, start):
    """A tenant, its client, and a batch that can not go on."""
    limited = gateway_under_test.caller(requests=1)
    assert gateway_under_test.embed(limited, {"input": "x"}).status_code == 200
    client = client_of(limited)
    made = start(client, [line("a"), line("b")])
    gateway_under_test.wait_until(lambda: client.batches.retrieve(made.id).status == "in_progress")
    return limited, client, made


def test_results_take_no_more_room_than_a_tenant_has(gateway_under_test, client, line, start, ended, read, monkeypatch):
    monkeypatch.setattr(run, "WINDOW", 1)
    bench = gateway_under_test.services.bulk.worker._bench
    usual = bench.most_stored
    object.__setattr__(bench, "most_stored", 300_000)
    try:
        batch = ended(client, start(client, [line(f"r{number}", encoding_format="base64") for number in range(1000)]))
    finally:
        object.__setattr__(bench, "most_stored", usual)
    assert (batch.status, batch.errors.data[0].code) == ("failed", "storage_limit_exceeded")
    assert 0 < batch.request_counts.completed < 1000
    assert len(read(client, batch.output_file_id)) == batch.request_counts.completed
    assert sum(file.bytes for file in client.files.list()) <= 300_000


def test_batches_that_can_not_go_on_leave_their_places_to_others(
    gateway_under_test, held_up, client_of, line, start, ended, monkeypatch
):
    monkeypatch.setattr(worker, "LONG_REST", 0.3)
    limited, client, first = held_up
    waiting = [first, *(start(client, [line("a"), line("b")]) for _ in range(worker.AT_A_TIME))]
    gateway_under_test.wait_until(lambda: client.batches.retrieve(waiting[2].id).status == "in_progress")
    other = client_of(gateway_under_test.caller())
    assert ended(other, start(other, [line("a")])).status == "completed"
    gateway_under_test.change(quotas.set_quota, limited.tenant, {"requests": None})
    assert {ended(client, one).status for one in waiting} == {"completed"}
    assert len(gateway_under_test.usage(limited)) == 1 + 2 * len(waiting)


def test_a_revoked_key_ends_its_batch(gateway_under_test, held_up, client_of, ended):
    limited, _, made = held_up
    other = gateway_under_test.change(keys.create_key, limited.tenant)
    gateway_under_test.change(keys.revoke_key, limited.key_id)
    batch = ended(client_of(other), made)
    assert (batch.status, batch.errors.data[0].code) == ("failed", "key_not_valid")


def test_a_key_that_took_its_place_goes_on(gateway_under_test, held_up, client_of, ended):
    limited, _, made = held_up
    other = gateway_under_test.change(rotation.rotate_key, limited.key_id, overlap=timedelta(hours=1))
    gateway_under_test.change(keys.revoke_key, limited.key_id)
    gateway_under_test.change(quotas.set_quota, limited.tenant, {"requests": None})
    assert ended(client_of(other.key), made).status == "completed"


def test_a_line_that_became_too_long_fails_alone(gateway_under_test, client_of, line, start, ended, read):
    limited = gateway_under_test.caller(requests=1)
    assert gateway_under_test.embed(limited, {"input": "x"}).status_code == 200
    client = client_of(limited)
    made = start(client, [line("a"), line("long", "x" * 500_000), line("b")])
    gateway_under_test.wait_until(lambda: client.batches.retrieve(made.id).status == "in_progress")
    gateway_under_test.change(tenants.suspend_tenant, limited.tenant)
    gateway_under_test.wait_until(lambda: rows(gateway_under_test, Batch, id=made.id)[0].worker is None)
    changed = (gateway_under_test.services.settings, "max_body_bytes"), (
        gateway_under_test.services.bulk.worker._bench, "longest_line",
    )  # fmt: skip
    for where, name in changed:
        object.__setattr__(where, name, 100_000)
    try:
        gateway_under_test.change(quotas.set_quota, limited.tenant, {"requests": 100_000})
        gateway_under_test.change(tenants.resume_tenant, limited.tenant)
        batch = ended(client, made)
    finally:
        for where, name in changed:
            object.__setattr__(where, name, 1_000_000)
    assert (batch.status, batch.request_counts.completed, batch.request_counts.failed) == ("completed", 2, 1)
    (failure,) = read(client, batch.error_file_id)
    assert (failure["custom_id"], failure["response"]["status_code"]) == ("long", 413)
    assert failure["response"]["body"]["error"]["code"] == "request_too_large"


def test_a_suspended_tenants_batch_rests_until_it_is_resumed(gateway_under_test, held_up, ended):
    limited, client, made = held_up
    gateway_under_test.change(tenants.suspend_tenant, limited.tenant)
    gateway_under_test.change(quotas.set_quota, limited.tenant, {"requests": None})

    def resting():
        (row,) = rows(gateway_under_test, Batch, id=made.id)
        return row.worker is None and row.status == "in_progress"

    gateway_under_test.wait_until(resting)
    assert len(gateway_under_test.usage(limited)) == 1
    gateway_under_test.change(tenants.resume_tenant, limited.tenant)
    assert ended(client, made).status == "completed"


def test_what_a_deleted_tenant_had_is_deleted(gateway_under_test, held_up):
    limited, _, made = held_up
    (row,) = rows(gateway_under_test, Batch, id=made.id)
    storage = gateway_under_test.services.bulk.storage
    assert len([*storage.folder.glob(f"objects/{made.input_file_id}/*")]) == 1
    gateway_under_test.change(tenants.delete_tenant, limited.tenant)

    def gone():
        gateway_under_test.services.bulk.sweeper.hurry()
        left = [*rows(gateway_under_test, Batch, id=made.id), *rows(gateway_under_test, File, tenant_id=row.tenant_id)]
        return not left and not [*storage.folder.glob(f"objects/{made.input_file_id}/*")]

    gateway_under_test.wait_until(gone)


def test_batches_wait_in_the_bulk_lane(gateway_under_test, caller, client, line, start, ended, monkeypatch):
    seen = []
    embed = type(gateway_under_test.services.engines).embed

    async def listening(engines, node, request, patience):
        seen.append((request.lane, request.flow))
        return await embed(engines, node, request, patience)

    monkeypatch.setattr(type(gateway_under_test.services.engines), "embed", listening)
    ended(client, start(client, [line("a")]))
    (key,) = [key for key in gateway_under_test.services.feed.current.keys.values() if key.id == caller.key_id]
    assert seen == [("bulk", key.tenant.id)]
