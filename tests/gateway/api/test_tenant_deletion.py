"""A tenant that is deleted while it is served: what has begun is finished and billed, what comes is refused."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.db import queries
from gateway.services.register import tenants


@pytest.mark.parametrize("end", [tenants.delete_tenant, tenants.suspend_tenant])
def test_a_request_in_flight_is_finished_and_billed(gateway_under_test, end):
    caller = gateway_under_test.caller(requests=10, tokens=1000)
    gateway_under_test.engine.delay = 0.5
    nodes = gateway_under_test.services.nodes.nodes
    with ThreadPoolExecutor(3) as clients:
        begun = [clients.submit(gateway_under_test.embed, caller, {"input": "one two"}) for _ in range(3)]
        gateway_under_test.wait_until(lambda: sum(node.in_flight for node in nodes) == 3)
        gateway_under_test.change(end, caller.tenant)
        refused = gateway_under_test.embed(caller, {"input": "late"})
        replies = [reply.result() for reply in begun]
    assert refused.status_code == (401 if end is tenants.delete_tenant else 403)
    assert [reply.status_code for reply in replies] == [200] * 3
    rows = gateway_under_test.usage(caller)
    assert [(row.tenant_name, row.status) for row in rows] == [(caller.tenant, 200)] * 3
    assert [row.tokens for row in rows] == [reply.json()["usage"]["total_tokens"] for reply in replies]


def test_what_a_deleted_tenant_used_is_kept_and_its_key_is_unknown(gateway_under_test):
    caller = gateway_under_test.caller()
    gateway_under_test.embed(caller, {"input": "x"})
    gateway_under_test.change(tenants.delete_tenant, caller.tenant)
    reply = gateway_under_test.embed(caller, {"input": "x"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (401, "invalid_api_key")
    assert reply.json()["message"].startswith(f"Incorrect API key provided: sk-shoal-{caller.key_id}-***.")
    assert len(gateway_under_test.usage(caller)) == 1

    async def of_the_key():
        async with gateway_under_test.services.database.reading() as session:
            return await queries.tenant_of_key(session, caller.key_id)

    assert gateway_under_test.run(of_the_key()) is None
