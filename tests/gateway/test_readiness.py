"""/health/ready tells the truth, tried on what really is away: PostgreSQL, Redis, nodes, room for usage."""

import asyncio
import contextlib
import errno
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.fake_engine import FakeEngine, serve
from gateway.app import create_app, open_services
from gateway.services.opened import Services
from gateway.services.usage.recorder import UsageEvent
from gateway.services.usage.spool import NoRoom
from gateway.settings import GatewaySettings

pytestmark = pytest.mark.anyio

SECRET = "a-secret-of-nodes-and-gateways"
REPOSITORY = Path(__file__).parents[2]
FACTS: dict[str, Any] = {
    "tenant_id": "t", "tenant_name": "acme", "key_id": "k", "revision": None, "endpoint": "/v1/x", "status": 200,
    "inputs": 1, "tokens": 1, "bytes_in": 1, "latency_ms": 1.0,
}  # fmt: skip


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


@pytest.fixture
async def node(anyio_backend: str) -> AsyncIterator[str]:
    server = await serve(FakeEngine(secret=SECRET))
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


class Gateway:
    """One that is opened, and what it says."""

    def __init__(self, services: Services, client: httpx.AsyncClient) -> None:
        self.services = services
        self._client = client

    async def report(self) -> tuple[int, str, list[str]]:
        """Status of the answer, status and reasons that it gives."""
        reply = await self._client.get("/health/ready")
        body: dict[str, Any] = reply.json()
        return reply.status_code, body["status"], body["reasons"]

    async def until(self, status: int, what: str, *reasons: str) -> None:
        """It says so before long; reasons by how they begin."""
        with_deadline = asyncio.timeout(15)
        said: Any = None
        try:
            async with with_deadline:
                while True:
                    said = await self.report()
                    alike = len(said[2]) == len(reasons)
                    if said[:2] == (status, what) and alike and all(map(str.startswith, said[2], reasons)):
                        return
                    await asyncio.sleep(0.02)
        except TimeoutError:
            pytest.fail(f"it says {said}")


@asynccontextmanager
async def gateway(database_url: str, **settings: Any) -> AsyncIterator[Gateway]:
    known = GatewaySettings(
        database_url=database_url, engine_secret=SECRET, poll_interval=0.05, snapshot_interval=0.05,
        usage_flush_interval=0.05, quota_timeout=0.2,
    )  # fmt: skip
    async with open_services(replace(known, **settings)) as services:
        transport = httpx.ASGITransport(app=create_app(services))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield Gateway(services, client)


async def test_with_a_node_and_everything_else_it_is_ready(database_url: str, node: str) -> None:
    async with gateway(database_url, nodes={"default": (node,)}) as seen:
        await seen.until(200, "ready")


async def test_pools_at_rest_make_no_gateway_unready(database_url: str) -> None:
    async with gateway(database_url) as seen:
        await seen.until(200, "ready")
        assert seen.services.standing.report().pools == {}


async def test_one_that_never_reached_a_node_is_not_ready(database_url: str, node: str) -> None:
    nobody = {"default": ("http://127.0.0.1:9",)}
    unreached = "No node of the pool 'default' is healthy.", "No node has been reached since the start."
    async with gateway(database_url, nodes=nobody) as seen:
        await seen.until(503, "starting", *unreached)
    async with gateway(database_url, nodes={"default": (node,)}, engine_secret="another") as seen:
        await seen.until(503, "starting", *unreached)


async def test_one_whose_nodes_are_killed_stays_and_says_so(database_url: str) -> None:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.fake_engine", "--port", str(port), "--secret", SECRET]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL, cwd=REPOSITORY)
    try:
        async with gateway(database_url, nodes={"default": (f"http://127.0.0.1:{port}",)}) as seen:
            await seen.until(200, "ready")
            process.kill()
            await seen.until(200, "ready", "No node of the pool 'default' is healthy.")
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_the_database_away_is_said_and_no_reason_to_leave(
    postgres: Any, postgres_database: str, node: str
) -> None:
    async with gateway(postgres.url(postgres_database), nodes={"default": (node,)}) as seen:
        await seen.until(200, "ready")
        await asyncio.to_thread(postgres.stop)
        try:
            await seen.until(200, "ready", "The database is away; policies are ")
        finally:
            await asyncio.to_thread(postgres.start)
        await seen.until(200, "ready")


async def test_redis_away_is_said_and_no_reason_to_leave(database_url: str, node: str, own_redis: Any) -> None:
    async with gateway(database_url, nodes={"default": (node,)}, redis_url=own_redis.url) as seen:
        await seen.until(200, "ready")
        own_redis.kill()
        await seen.services.shared_quota.reserve("lease", []) if False else None
        seen.services.shared_quota._start_recovery()
        await seen.until(200, "ready", "The quota store is away, requests are denied.")
        own_redis.start()
        await seen.until(200, "ready")


async def test_a_full_disk_takes_it_out_until_there_is_room(
    database_url: str, node: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full, allocate = False, os.posix_fallocate

    def fails_when_full(*arguments: int) -> None:
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        allocate(*arguments)

    monkeypatch.setattr(os, "posix_fallocate", fails_when_full)
    async with gateway(database_url, nodes={"default": (node,)}, usage_spool=tmp_path, usage_flush_interval=60) as seen:
        await seen.until(200, "ready")
        full, usage = True, seen.services.usage
        while usage.has_room:
            usage.record(UsageEvent(model="m" * 4096, **FACTS))
        await seen.until(503, "no_room", "There is no room for usage")
        with pytest.raises(NoRoom):
            usage.check_room()
        full = False
        await seen.until(200, "ready")


async def test_one_that_is_told_to_stop_wants_nothing_new_at_once(database_url: str, node: str) -> None:
    async with gateway(database_url, nodes={"default": (node,)}) as seen:
        await seen.until(200, "ready")
        seen.services.standing.draining = True
        assert await seen.report() == (503, "draining", ["This gateway is stopping."])
