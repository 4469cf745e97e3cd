"""Every error in every client's own class, and how often it is tried again, counted where the requests arrive.

The gateway itself refuses wherever it can be brought to it; what it has no cause for here comes from the tap before it,
with the gateway's own body.
"""

import socket
from functools import cache
from typing import Any

import httpx
import pytest
from client_scripts import run_script
from error_table import CASES, CLIENTS
from fake_upstream import KEY, FakeUpstream
from wiretap import Fault, Wiretap

from gateway import errors
from gateway.services.register import aliases, grants, keys, models, quotas, tenants
from shoal.database import change

STARTER = "sentence-transformers/all-MiniLM-L6-v2"
TEXT = "Herring swim in shoals."
LONG = "word " * 20_000
WRONG_KEY = "sk-shoal-nobodysays1-0123456789"


def scripted(status: int, error: errors.GatewayError) -> Fault:
    return Fault(status, errors.error_body(error), errors.error_headers(error))


FAULTS = {
    "408": scripted(408, errors.GatewayError("The request took too long to arrive.", code="request_timeout")),
    "409": scripted(409, errors.Conflict("Somebody else changed it first.")),
    "422": scripted(422, errors.RequestError("It can not be processed.")),
    "500": scripted(500, errors.EngineFailed("for the test")),
    "connection lost": Fault(),
}


@pytest.fixture(scope="module")
def server(start_server, tmp_path_factory):
    """It takes small bodies only."""
    options = ("--default-model", "default", "--max-body", "64KiB", "--allow-upstream", "127.0.0.0/8")
    with start_server(tmp_path_factory.mktemp("data"), *options) as server:
        yield server


@pytest.fixture(scope="module")
def real_keys(server):
    """By case the key of a tenant whom the gateway refuses for this reason. No node serves one of the models."""
    limits = {"400": {"tokens": 1}, "429": {"concurrency": 1}, "429, in vain": {"tokens_per_month": 31}}

    async def add(session, actor):
        for model, pool, source in (("nowhere", "nowhere", None), ("waits", "slow", "silent")):
            await models.add_model(session, actor, models.NewModel(id=model, pool=pool, source=source))
        made = {}
        for place, case in enumerate(("400", "403", "404", "413", "429", "429, in vain", "503")):
            tenant = (await tenants.create_tenant(session, actor, f"tenant-{place}")).id
            if case != "404":
                await grants.add_grant(session, actor, tenant, "*")
            for name in ("default", STARTER):
                await aliases.set_alias(session, actor, tenant, name, "nowhere" if case == "503" else STARTER)
            if case in limits:
                await quotas.set_quota(session, actor, tenant, limits[case])
            made[case] = (await keys.create_key(session, actor, tenant)).key
            if case == "403":
                await tenants.suspend_tenant(session, actor, tenant)
        return made

    made = change(f"sqlite:///{server.data_dir / 'shoal.db'}", add)
    expected = {case: 403 if case == "403" else 200 for case in made}
    server.until(
        lambda: {case: server.get("/v1/models", key).status_code for case, key in made.items()} == expected,
        "the gateway follows new keys",
    )
    assert (
        server.embed(made["429, in vain"], {"model": STARTER, "input": TEXT}).status_code == 200
    )  # its last this month
    return {**made, "401": WRONG_KEY}


@pytest.fixture(scope="module")
def busy(server, real_keys, tmp_path_factory):
    """One tenant has as many requests under way as it may: an upstream keeps it waiting."""
    upstream = FakeUpstream().start()
    key_file = tmp_path_factory.mktemp("upstream") / "key"
    key_file.write_text(KEY + "\n")
    server.shoal(
        "upstream", "add", upstream.url, "--pool", "slow", "--key-file", str(key_file), "--allow-upstream", "127.0.0.1"
    )
    there = 'shoal_gateway_pool_nodes{pool="slow",state="healthy"} 1.0'
    server.until(lambda: there in httpx.get(f"{server.url}/metrics").text, "the upstream is known")
    body = b'{"model": "waits", "messages": [{"role": "user", "content": "?"}]}'
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {real_keys['429']}\r\n"
    with socket.create_connection(("127.0.0.1", server.port)) as held:
        held.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        server.until(lambda: any(asked.body.get("model") == "silent" for asked in upstream.asked), "the request waits")
        yield
    upstream.stop()


@pytest.fixture(scope="module")
def answered(server, real_keys, busy):
    """What came of asking a client: its version, what it raised, and the requests."""
    with Wiretap(server.url) as tap:

        @cache
        def everything(environment, script):
            asked = [
                (client, case, tap.label({**FAULTS, **real_keys}[case]))
                for client in CLIENTS
                if (client.environment, client.script) == (environment, script)
                for case in CASES
            ]
            questions = [
                {
                    "client": client.part, "operation": client.operation, "url": tap.url, "key": label,
                    "arguments": {**arguments(client.operation, LONG if case == "413" else TEXT), **client.options},
                }
                for client, case, label in asked
            ]  # fmt: skip
            packages = [client.package for client, *_ in asked]
            versions, answers = run_script(script, environment, packages, questions, at_once=len(asked))
            return {
                (client.name, case): (versions[client.package], answer, tap.seen(label))
                for (client, case, label), answer in zip(asked, answers, strict=True)
            }

        yield lambda client, case: everything(client.environment, client.script)[client.name, case]


def arguments(operation: str, text: str) -> dict[str, Any]:
    if operation == "rerank":
        return {"model": STARTER, "query": "fish", "documents": [text]}
    return {"model": STARTER, "texts": [text]}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_an_error_is_the_clients_own_and_tried_again_where_that_helps(client, case, answered, compatibility):
    version, answer, seen = answered(client, case)
    status = None if case == "connection lost" else int(case[:3])
    assert {request.status for request in seen} == {status}
    assert (answer.get("raised", ""), len(seen)) == (client.classes[case], client.requests(case)), answer
    if not client.classes[case]:
        assert answer["value"] == [None], "it swallows the error, and no vector is made up"
    raised = f"`{client.classes[case]}`" if client.classes[case] else "nothing: the vector is `None`"
    compatibility.tell("errors", client.name, version, case, f"{raised}, {len(seen)}")


def test_the_page_of_errors_has_these_clients(compatibility):
    assert set(compatibility.clients("errors")) == {client.name for client in CLIENTS}
