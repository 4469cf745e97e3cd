"""What the console asks within the process goes the way of every request: policies, limits and usage hold."""

import json

import pytest
from sqlalchemy import select

from admin_ui.ports import ApiQuestion
from gateway.app import create_app
from gateway.db.tables import UsageRecord
from gateway.services.register.keys import find_key, revoke_key, update_key
from gateway.services.register.tenants import suspend_tenant
from shoal.console_asking import asking


@pytest.fixture
def ask(gateway_under_test):
    question = asking(create_app(gateway_under_test.services))

    def put(caller, *, key=False, path="/v1/embeddings", **body):
        by_name = {one.name: id_ for id_, one in gateway_under_test.services.feed.current.tenants.items()}
        sent = json.dumps({"model": "mini", "input": ["one", "two"]} | body).encode()
        whose = ApiQuestion(by_name[caller.tenant], caller.key_id if key is True else key or None, path, sent)
        answer = gateway_under_test.run(question(whose))
        return answer.status, json.loads(answer.body), answer

    return put


def records(gateway, tenant):
    async def read():
        await gateway.services.usage.flush()
        async with gateway.services.database.reading() as session:
            chosen = select(UsageRecord).where(UsageRecord.tenant_name == tenant)
            return list((await session.execute(chosen)).scalars())

    return gateway.run(read())


def test_it_is_answered_as_from_outside_and_usage_counts_it(gateway_under_test, ask, caller) -> None:
    status, body, answer = ask(caller)
    outside = gateway_under_test.embed(caller, {"model": "mini", "input": ["one", "two"]})
    assert (status, body) == (200, outside.json())
    assert answer.headers["x-request-id"].startswith("req_")
    assert answer.seconds > 0
    assert ask(caller, key=True)[0] == 200
    assert sorted(one.key_id for one in records(gateway_under_test, caller.tenant)) == sorted(
        ["playground", caller.key_id, caller.key_id]
    )


def test_the_keys_own_last_use_stays_what_clients_did(gateway_under_test, ask, caller) -> None:
    assert ask(caller, key=True)[0] == 200

    async def read():
        await gateway_under_test.services.usage.flush()
        async with gateway_under_test.services.database.reading() as session:
            return await find_key(session, caller.key_id)

    assert gateway_under_test.run(read()).last_used_at is None


def test_what_the_tenant_may_not_use_is_not_there(gateway_under_test, ask) -> None:
    caller = gateway_under_test.caller(deny=("tests/secret",))
    status, body, _ = ask(caller, model="tests/secret")
    assert (status, body["error"]["code"]) == (404, "model_not_found")


def test_a_limit_is_that_of_requests_from_outside(gateway_under_test, ask) -> None:
    caller = gateway_under_test.caller(requests=2)
    assert ask(caller)[0] == 200
    assert gateway_under_test.embed(caller, {"input": ["one"]}).status_code == 200
    assert ask(caller)[0] == 429
    assert ask(caller, key=True)[0] == 429


def test_a_key_that_is_kept_to_a_purpose_is_so_here(gateway_under_test, ask, caller) -> None:
    gateway_under_test.change(update_key, caller.key_id, scopes=["rerank"])
    status, body, _ = ask(caller, key=True)
    assert (status, body["error"]["code"]) == (403, "missing_scope")
    assert ask(caller)[0] == 200


def test_who_is_suspended_or_revoked_or_somebody_elses_is_refused(gateway_under_test, ask, caller) -> None:
    other = gateway_under_test.caller()
    for key in (other.key_id, "x", "playground"):
        assert ask(caller, key=key)[0] == 401
    gateway_under_test.change(revoke_key, caller.key_id)
    status, body, _ = ask(caller, key=True)
    assert (status, "revoked" in body["error"]["message"]) == (401, True)
    gateway_under_test.change(suspend_tenant, caller.tenant)
    status, body, _ = ask(caller)
    assert (status, body["error"]["code"]) == (403, "tenant_suspended")


def test_a_body_that_is_wrong_is_told_in_the_apis_words(ask, caller) -> None:
    status, body, _ = ask(caller, input=[])
    assert (status, body["error"]["type"]) == (400, "invalid_request_error")


def test_nobody_outside_vouches_for_a_tenant(gateway_under_test, caller) -> None:
    for name in ("shoal.vouched", "shoal-vouched", "x-shoal-vouched"):
        answer = gateway_under_test.request(
            "POST", "/v1/embeddings", headers={name: caller.tenant}, json={"model": "mini", "input": "x"}
        )
        assert answer.status_code == 401
