"""A gateway whose Redis goes away, over the wire."""

import asyncio
import contextlib

import httpx
import pytest

from benchmarks.fake_engine import FakeEngine, serve
from gateway.app import create_app, open_services
from gateway.db import schema
from gateway.services.register import grants, keys, models, quotas, tenants
from gateway.services.register.audit import Actor
from gateway.settings import GatewaySettings

ACTOR = Actor("tests", "tests")
BODY = {"model": "tests/mini", "input": "Herring swim in shoals."}


async def register(services):
    async with services.database.transaction() as session:
        await models.add_model(session, ACTOR, models.NewModel(id="tests/mini"))
        await tenants.create_tenant(session, ACTOR, "acme")
        await grants.add_grant(session, ACTOR, "acme", "*")
        await quotas.set_quota(session, ACTOR, "acme", {"requests": 5, "tokens": 1000})
        created = await keys.create_key(session, ACTOR, "acme")
    await services.feed.refresh()
    return created.key


@contextlib.asynccontextmanager
async def gateway(database_url, redis, rule):
    """A client of a gateway that counts in Redis, and its services."""
    await schema.upgrade(database_url)
    async with await serve(FakeEngine(dimensions=8)) as node:
        settings = GatewaySettings(
            database_url=database_url,
            nodes={"default": (f"http://127.0.0.1:{node.sockets[0].getsockname()[1]}",)},
            redis_url=redis.url,
            quota_outage=rule,
            quota_timeout=0.2,
            metrics_key="metrics",
        )
        async with open_services(settings) as services:
            transport = httpx.ASGITransport(create_app(services))
            key = await register(services)
            headers = {"authorization": f"Bearer {key}"}
            async with httpx.AsyncClient(transport=transport, base_url="http://shoal", headers=headers) as client:
                yield client, services


async def metrics(client):
    page = await client.get("/metrics", headers={"authorization": "Bearer metrics"})
    return dict(line.rpartition(" ")[::2] for line in page.text.splitlines() if not line.startswith("#"))


@pytest.fixture
def database_url(tmp_path):
    return f"sqlite:///{tmp_path / 'shoal.db'}"


def test_without_redis_requests_are_denied_with_a_reason_and_served_again_afterwards(database_url, own_redis):
    async def work():
        async with gateway(database_url, own_redis, "deny") as (client, services):
            served = await client.post("/v1/embeddings", json=BODY)
            assert served.status_code == 200
            assert served.headers["x-ratelimit-remaining-requests"] == "4"
            assert (await client.get("/health/ready")).json()["quota"] == "up"
            own_redis.kill()
            denied = await client.post("/v1/embeddings", json=BODY)
            assert denied.status_code == 503
            assert denied.headers["retry-after"] == "1"
            assert denied.json()["error"]["code"] == "quota_unavailable"
            ready = await client.get("/health/ready")
            assert (ready.status_code, ready.json()["quota"]) == (200, "away, requests are denied")
            figures = await metrics(client)
            assert figures["shoal_gateway_quota_store_up"] == "0.0"
            assert figures['shoal_gateway_quota_outages_total{decision="deny"}'] == "1.0"
            own_redis.start()
            async with asyncio.timeout(10):
                while not services.shared_quota.up:
                    await asyncio.sleep(0.01)
            assert (await client.post("/v1/embeddings", json=BODY)).status_code == 200
            assert (await client.get("/health/ready")).json()["quota"] == "up"

    asyncio.run(work())


def test_an_operator_may_have_requests_served_uncounted_meanwhile(database_url, own_redis):
    async def work():
        async with gateway(database_url, own_redis, "allow") as (client, _):
            own_redis.kill()
            answers = [await client.post("/v1/embeddings", json=BODY) for _ in range(10)]  # twice the limit
            assert [answer.status_code for answer in answers] == [200] * 10
            assert (await client.get("/health/ready")).json()["quota"] == "away, requests are allowed"
            assert (await metrics(client))['shoal_gateway_quota_outages_total{decision="allow"}'] == "10.0"

    asyncio.run(work())


def test_a_gateway_starts_while_its_redis_is_away(database_url, own_redis):
    own_redis.kill()

    async def work():
        async with gateway(database_url, own_redis, "deny") as (client, _):
            assert (await client.post("/v1/embeddings", json=BODY)).status_code == 503

    asyncio.run(work())


def test_two_gateways_admit_together_what_one_may(database_url, redis):
    async def work():
        async with gateway(database_url, redis, "deny") as (one, services), open_services(services.settings) as other:
            transport = httpx.ASGITransport(create_app(other))
            async with httpx.AsyncClient(transport=transport, base_url="http://shoal", headers=one.headers) as two:
                answers = [await client.post("/v1/embeddings", json=BODY) for client in (one, two) * 4]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 3

    asyncio.run(work())
