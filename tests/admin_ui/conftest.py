import asyncio
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient

from admin_ui.app import create_admin_app
from admin_ui.sessions import COOKIE, Sessions
from engine.protocol import PROTOCOL_VERSION, NodeStatus, ResidentModel
from gateway.db.schema import upgrade
from gateway.db.session import Database
from gateway.services.access.operators import create_operator
from gateway.services.pools.node import Node
from gateway.services.register.audit import Actor
from gateway.services.register.tenants import create_tenant, suspend_tenant
from gateway.services.snapshot.entries import ModelEntry, PolicySnapshot
from gateway.services.standing import Report
from gateway.settings import GatewaySettings, sqlite_url
from policies.quota import Limit, Standings
from policies.quota import Standing as QuotaStanding

KEY = b"k" * 32
MIB = 1 << 20


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Nodes:
    nodes: list[Node] = field(default_factory=list)

    @property
    def pools(self) -> dict[str, list[Node]]:
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            found.setdefault(node.pool, []).append(node)
        return found


@dataclass
class Feed:
    current: PolicySnapshot = field(default_factory=PolicySnapshot)


@dataclass
class Usage:
    waiting: int = 0
    oldest_seconds: float = 0.0


@dataclass
class Standing:
    reasons: tuple[str, ...] = ()

    def report(self) -> Report:
        return Report("ready", self.reasons, policies=True, quota="up", pools={})


@dataclass
class Quota:
    """A store that answers `standings`, by kind what is left; None: it is away."""

    left: dict[str, int] | None = field(default_factory=dict)

    async def peek(self, limits: Sequence[Limit]) -> Standings:
        if self.left is None:
            return ()
        return [(limit, QuotaStanding(self.left.get(limit.kind, limit.amount), 0.0)) for limit in limits]


@dataclass
class FakeServices:
    database: Database
    settings: GatewaySettings
    nodes: Nodes = field(default_factory=Nodes)
    feed: Feed = field(default_factory=Feed)
    usage: Usage = field(default_factory=Usage)
    standing: Standing = field(default_factory=Standing)
    quota: Quota = field(default_factory=Quota)


class Console:
    """A browser in front of the console, and what the console stands on."""

    def __init__(self, client: TestClient, services: FakeServices, clock: Clock) -> None:
        self.client = client
        self.services = services
        self.clock = clock
        self.sessions = Sessions(KEY, clock)

    def become(self, operator: str) -> str:
        """Carry the cookie of an operator who has signed in; returns the session's CSRF token."""
        session = self.sessions.start(operator)
        began, ends = (datetime.fromtimestamp(at, UTC) for at in (self.clock.now, session.expires))
        row = (session.id, operator, *(f"{at:%Y-%m-%d %H:%M:%S.%f}" for at in (began, ends)), "192.0.2.9", "a test")
        with closing(sqlite3.connect(self.services.database.file)) as database:
            database.execute("INSERT INTO console_session VALUES (?, ?, ?, ?, ?, ?)", row)
            database.commit()
        self.client.cookies.set(COOKIE, self.sessions.cookie(session))
        return self.sessions.csrf_token(session)

    def sign_in(self, name: str, password: str, **more: str):
        token = self.hidden(self.client.get("/admin/sign-in").text, "csrf_token")
        form = {"csrf_token": token, "name": name, "password": password, **more}
        return self.client.post("/admin/sign-in", data=form)

    def tenant_id(self, name: str) -> str:
        """Of a tenant in the database."""
        with closing(sqlite3.connect(self.services.database.file)) as database:
            [(id_,)] = database.execute("SELECT id FROM tenant WHERE name = ?", (name,))
        return id_

    def routes(self):
        """Every handler of the console by method and path."""
        return [
            (method, route.path, handler)
            for route in self.client.app.routes
            for handler in route.route_handlers
            for method in sorted(handler.http_methods - {"OPTIONS"})
        ]

    @staticmethod
    def hidden(page: str, name: str) -> str:
        found = re.search(rf'name="{name}" value="([^"]*)"', page)
        assert found is not None
        return unescape(found[1])


@pytest.fixture(scope="session")
def filled_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the operator `ada`, whose password is `correct horse battery`, and two tenants, one suspended."""
    folder = Path(tmp_path_factory.mktemp("console"))
    url = sqlite_url(folder)

    async def fill() -> None:
        await upgrade(url)
        database = Database.open(url)
        actor = Actor("test", "here")
        async with database.transaction() as session:
            await create_operator(session, actor, "ada", password="correct horse battery")
            await create_operator(session, actor, "<i>eve", role="viewer", password="correct horse battery")
            await create_tenant(session, actor, "acme")
            await create_tenant(session, actor, "zenith")
            await suspend_tenant(session, actor, "zenith")
            await create_operator(
                session, actor, "tina", role="tenant_admin", tenant="acme", password="tina at the shop"
            )
        await database.close()

    asyncio.run(fill())
    return folder


@pytest.fixture
def database_url(filled_folder: Path, tmp_path: Path) -> str:
    """That database, for this test alone."""
    shutil.copy(filled_folder / "shoal.db", tmp_path)
    return sqlite_url(tmp_path)


@pytest.fixture
def console_at(database_url: str) -> Iterator[Callable[..., Console]]:
    """A browser at this address, in front of a gateway of its own with these settings, over the one database."""
    opened: list[TestClient] = []

    def open_at(
        base_url: str = "http://console.test",
        *,
        peer: str = "192.0.2.200",
        inspect: Any = None,
        ask: Any = None,
        **settings: Any,
    ) -> Console:
        chosen = GatewaySettings(database_url=database_url, **settings)
        services, clock = FakeServices(Database.open(database_url), chosen), Clock()
        app = create_admin_app(services, session_key=KEY, clock=clock, inspect=inspect, ask=ask)
        app.on_shutdown.append(services.database.close)
        handle = app.asgi_handler
        app.asgi_handler = lambda scope, *rest: handle({**scope, "client": (peer, 1)}, *rest)
        client = TestClient(app, base_url=base_url, raise_server_exceptions=False)
        client.follow_redirects = False
        client.__enter__()
        opened.append(client)
        return Console(client, services, clock)

    yield open_at
    for client in opened:
        client.__exit__(None, None, None)


@pytest.fixture
def console(console_at: Callable[..., Console]) -> Console:
    return console_at()


@pytest.fixture
def make_node() -> Callable[..., Node]:
    def make(
        url: str,
        *models: ResidentModel,
        healthy: bool = True,
        failure: str | None = None,
        budget: int = 1024 * MIB,
        heard: float = 0.0,
    ) -> Node:
        status = NodeStatus(
            protocol=PROTOCOL_VERSION,
            version="0.1.0",
            device="cpu",
            ready=True,
            memory_budget=budget,
            memory_used=sum(model.bytes for model in models),
            waiting_requests=3,
            waiting_tokens=1200,
            tokens_per_second=5400.0,
            models=list(models),
        )
        calls = {asyncio.Timeout(None) for _ in range(2)}
        return Node(url, "default", None, status=status, healthy=healthy, failure=failure, heard=heard, calls=calls)

    return make


@pytest.fixture
def make_resident() -> Callable[..., ResidentModel]:
    def make(id_: str, mib: int, state: str = "resident", *, pinned: bool = False, failure: str | None = None):
        tier = "loading" if state == "loading" else "device"
        return ResidentModel(id_, None, state, mib * MIB, 0, pinned, 0.0, 384, 512, failure, tier)

    return make


@pytest.fixture
def make_model() -> Callable[..., ModelEntry]:
    def make(id_: str, *aliases: str, pinned: bool = False) -> ModelEntry:
        return ModelEntry(id_, aliases, id_, None, "default", None, None, pinned, 0, 384, 512)

    return make
