"""A gateway on a real socket, with a real SQLite database and a fake engine node, in a thread of its own."""

import asyncio
import concurrent.futures
import contextlib
import itertools
import secrets
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

import httpx
import pytest
import uvicorn
import uvloop
from fake_upstream import FakeUpstream
from sqlmodel import select

from admin_ui.app import create_admin_app
from benchmarks.fake_engine import FakeEngine, serve
from gateway.app import create_admin_api, create_app, open_services
from gateway.db import schema
from gateway.db.tables import Row
from gateway.db.usage_rows import UsageRecord
from gateway.services.register import grants, keys, models, quotas, tenants, upstreams
from gateway.services.register.audit import Actor
from gateway.settings import GatewaySettings
from shoal.gateway_process import side_by_side

ACTOR = Actor("tests", "tests")
MODEL = "tests/mini"


@dataclass
class Caller:
    """A tenant with one key."""

    tenant: str
    key_id: str
    key: str

    @property
    def headers(self):
        return {"authorization": f"Bearer {self.key}"}


@dataclass
class RunningGateway:
    """What tests may do with the gateway."""

    url: str
    services: object
    engine: FakeEngine
    loop: asyncio.AbstractEventLoop
    engine_port: int
    model: str = MODEL
    names: Iterator[int] = field(default_factory=count)

    def run(self, work, timeout=20):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout)

    def change(self, service, *arguments, **options):
        """A change of policies by a service, in force when this returns."""

        async def make():
            async with self.services.database.transaction() as session:
                result = await service(session, ACTOR, *arguments, **options)
            await self.services.feed.refresh()
            return result

        return self.run(make())

    def caller(self, *, allow=("*",), deny=(), **limits):
        """A new tenant with a key, its grants and its limits by kind."""
        tenant = f"tenant-{next(self.names)}"
        self.change(tenants.create_tenant, tenant)
        made = self.change(keys.create_key, tenant)
        for pattern in allow:
            self.change(grants.add_grant, tenant, pattern)
        for pattern in deny:
            self.change(grants.add_grant, tenant, pattern, deny=True)
        self.change(quotas.set_quota, tenant, limits)
        return Caller(tenant, made.id, made.key)

    def upstream(self, pool, url, *, kind="openai", key=None):
        """A new upstream in a pool, and seen to be there or not to be."""
        new = upstreams.NewUpstream(pool=pool, kind=kind, base_url=url, key=key)
        made = self.change(upstreams.add_upstream, new, self.services.upstreams.sealer)

        def looked_at():
            nodes = [node for node in self.services.nodes.pools[pool] if node.name.endswith(made.id)]
            return nodes and nodes[0].failure != "not asked yet"

        self.wait_until(looked_at)
        return made

    def served_by(self, upstream, source, *, kind="openai", **options):
        """The name of a model that an upstream calls `source`, in a pool of its own; made once."""
        name = f"up/{kind}/{source}"
        if name not in self.services.feed.current.models:
            self.upstream(name.replace("/", "-"), upstream.url, kind=kind, key=upstream.key)
            new = models.NewModel(id=name, source=source, pool=name.replace("/", "-"), **options)
            self.change(models.add_model, new)
        return name

    def forget_upstreams(self):
        """As if none had ever been registered."""
        known = self.services.feed.current
        pools = known.upstreams
        for model in {model.id for model in known.models.values() if model.pool in pools}:
            self.change(models.remove_model, model)
        for one in itertools.chain.from_iterable(pools.values()):
            self.change(upstreams.remove_upstream, one.id)
        self.wait_until(lambda: not pools.keys() & self.services.nodes.pools.keys())

    def request(self, method, path, caller=None, **options):
        headers = options.pop("headers", {})
        if caller is not None:
            headers = {**caller.headers, **headers}
        # Certificates are not looked at over HTTP, and to read them takes longer than most requests.
        return httpx.request(method, self.url + path, headers=headers, timeout=30, verify=False, **options)

    def post(self, path, caller=None, **options):
        return self.request("POST", path, caller, **options)

    def embed(self, caller, body, **options):
        return self.post("/v1/embeddings", caller, json={"model": MODEL, **body}, **options)

    def wait_until(self, condition, seconds=10):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.01)

    def usage(self, caller):
        """The usage rows of a caller's key, oldest first."""

        async def read():
            await self.services.usage.flush()
            async with self.services.database.reading() as session:
                rows = await session.execute(
                    select(UsageRecord).where(UsageRecord.key_id == caller.key_id).order_by(UsageRecord.time)
                )
                return list(rows.scalars())

        return self.run(read())

    def dump(self):
        """Every row of every table, as whoever has a copy of the database finds them, but for when a credential was
        last used, which asking alone may change."""

        self.run(self.services.usage.flush())
        with contextlib.closing(sqlite3.connect(self.services.database.file)) as copy:
            copy.row_factory = sqlite3.Row
            tables = [table.name for table in Row.metadata.sorted_tables]
            found = {name: [dict(row) for row in copy.execute(f"SELECT * FROM {name}")] for name in tables}
        for row in (row for rows in found.values() for row in rows):
            row.pop("last_used_at", None)
        return found


async def _serve(database_url, started, stop_box):
    engine = FakeEngine(dimensions=8, secret=secrets.token_urlsafe(32))
    node = await serve(engine)
    port = node.sockets[0].getsockname()[1]
    settings = GatewaySettings(
        database_url=database_url,
        nodes={"default": (f"http://127.0.0.1:{port}",)},
        engine_secret=engine.secret,
        secret_key=secrets.token_bytes(32),
        allowed_upstreams=("127.0.0.0/8",),
        default_model=MODEL,
        max_body_bytes=1_000_000,
        max_inputs=5000,
        pool_patience=1.0,
        request_timeout=20.0,
        poll_interval=0.1,
        snapshot_interval=0.05,
        usage_flush_interval=0.05,
    )
    async with open_services(settings) as services:
        listener = socket.create_server(("127.0.0.1", 0))
        console = create_admin_app(services, session_key=secrets.token_bytes(32))
        app = side_by_side(create_app(services), create_admin_api(services), console)
        config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not (server.started and all(n.healthy for n in services.nodes.nodes)):
            await asyncio.sleep(0.01)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        loop = asyncio.get_running_loop()
        stop_box.append(lambda: loop.call_soon_threadsafe(setattr, server, "should_exit", True))
        started.set_result(RunningGateway(url, services, engine, loop, port))
        await serving
        listener.close()
    node.close()


@pytest.fixture(scope="package")
def running(tmp_path_factory):
    """A gateway in a thread of this process, which has ended before the tests of other folders: they alter clocks."""
    database_url = f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('gateway') / 'shoal.db'}"
    asyncio.run(schema.upgrade(database_url))
    started, stop = concurrent.futures.Future(), []

    def run():
        try:
            uvloop.run(_serve(database_url, started, stop))
        except BaseException as error:
            if not started.done():
                started.set_exception(error)
            raise

    thread = threading.Thread(target=run, name="gateway under test")
    thread.start()
    gateway = started.result(30)
    new_model = models.NewModel(id=MODEL, source="tests/mini", aliases=("mini",), dimensions=8, input_limit=512)
    gateway.change(models.add_model, new_model)
    gateway.change(models.add_model, models.NewModel(id="tests/secret", source="tests/secret", input_limit=512))
    yield gateway
    stop[0]()
    thread.join(20)
    assert not thread.is_alive()


@pytest.fixture
def gateway_under_test(running):
    """The gateway, with its engine as it should be."""
    running.engine.delay = 0.0
    running.engine.ready = True
    return running


@pytest.fixture
def caller(running):
    """A tenant that may use everything without limit."""
    return running.caller()


@pytest.fixture(scope="module")
def upstream(running):
    """A small OpenAI-compatible server of somebody else's. What was registered of upstreams goes with it."""
    server = FakeUpstream().start()
    yield server
    running.forget_upstreams()
    server.stop()
