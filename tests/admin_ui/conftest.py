import asyncio
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from console_fakes import Clock, FakeServices, new_node, new_resident
from litestar.testing import TestClient

from admin_ui.app import PAGES, create_admin_app
from admin_ui.cookies import HOST_ONLY
from admin_ui.sessions import COOKIE, Sessions
from engine.protocol import ResidentModel
from gateway.db.schema import upgrade
from gateway.db.session import Database
from gateway.services.access.operators import create_operator
from gateway.services.pools.node import Node
from gateway.services.register.audit import Actor
from gateway.services.register.tenants import create_tenant, suspend_tenant
from gateway.services.snapshot.entries import ModelEntry
from gateway.settings import GatewaySettings, sqlite_url

KEY = b"k" * 32


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
        over_tls = (self.services.settings.public_url or str(self.client.base_url)).startswith("https:")
        self.client.cookies.set(f"{HOST_ONLY if over_tls else ''}{COOKIE}", self.sessions.cookie(session))
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


@pytest.fixture(scope="session")
def _handlers_are_read() -> None:
    """What the handlers take, read once: every console of a session takes copies of them, and would read it anew."""
    for handler in PAGES:
        assert handler.parsed_fn_signature.return_type is not None


@pytest.fixture
def console_at(database_url: str, _handlers_are_read: None) -> Iterator[Callable[..., Console]]:
    """A browser at this address, in front of a gateway of its own with these settings, over the one database."""
    opened: list[TestClient] = []

    def open_at(
        base_url: str = "http://console.test",
        *,
        peer: str = "192.0.2.200",
        inspect: Any = None,
        inspect_adapter: Any = None,
        ask: Any = None,
        **settings: Any,
    ) -> Console:
        chosen = GatewaySettings(database_url=database_url, **settings)
        services, clock = FakeServices(Database.open(database_url), chosen), Clock()
        looks = {"inspect": inspect, "inspect_adapter": inspect_adapter}
        app = create_admin_app(services, session_key=KEY, clock=clock, ask=ask, **looks)
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
    return new_node


@pytest.fixture
def make_resident() -> Callable[..., ResidentModel]:
    return new_resident


@pytest.fixture
def make_model() -> Callable[..., ModelEntry]:
    def make(id_: str, *aliases: str, pinned: bool = False) -> ModelEntry:
        return ModelEntry(id_, aliases, id_, None, "default", None, None, pinned, 0, 384, 512)

    return make
