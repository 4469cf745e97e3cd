"""Every page over some hundred tenants: what it asks of the database, and how large it is. Times are benchmarks' work.

The same pages are asked of five thousand tenants and ten million records by `python -m benchmarks console`.
"""

import asyncio
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from console_fakes import FakeServices
from litestar.testing import TestClient
from sqlalchemy import event
from sqlalchemy.engine import Engine

from admin_ui.app import create_admin_app
from admin_ui.rendering import STATIC
from benchmarks.console import command
from benchmarks.console.addresses import addresses
from benchmarks.console.filling import SqliteBulk, fill_usage
from benchmarks.console.nodes import node_status
from benchmarks.console.register import OPERATOR, PASSWORD, fill_register
from benchmarks.console.size import SMALL, pool_of
from benchmarks.console.traffic import Pair, make_traffic
from gateway.db.schema import upgrade
from gateway.db.session import Database
from gateway.services.pools.node import Node
from gateway.services.snapshot.build import load_snapshot
from gateway.settings import GatewaySettings, sqlite_url

NOW = datetime.now(UTC)
MOST_STATEMENTS = 16
MOST_BYTES = 100_000
"""Of a first paint: a page with its files, nothing of it compressed."""
FILES = sum(len(file.read_bytes()) for file in STATIC.iterdir())
LARGE = r"usage_\w+|api_key|quota_rule|model_grant|tenant_alias|budget_notice"
"""Tables that no page may read from one end to the other."""
EMPTY_HANDED = {"/sign-in/oidc", "/sign-in/oidc/done"}
"""Pages that need a provider, which is not there."""


class Large:
    """A browser in front of the fleet."""

    def __init__(self, client: TestClient, database: Path, heaviest: Pair) -> None:
        self.client = client
        self.database = database
        self.heaviest = heaviest
        self.addresses = list(addresses(command.subjects_of(SMALL, heaviest, NOW, 9000)))

    @contextmanager
    def watched(self) -> Iterator[list[tuple[str, tuple[object, ...]]]]:
        """Every statement and what it was given, in the block."""
        seen: list[tuple[str, tuple[object, ...]]] = []

        def note(_connection, _cursor, statement, parameters, _context, _many) -> None:
            seen.append((statement, parameters))

        event.listen(Engine, "before_cursor_execute", note)
        try:
            yield seen
        finally:
            event.remove(Engine, "before_cursor_execute", note)

    def scans(self, statement: str, parameters: tuple[object, ...]) -> list[str]:
        """Large tables that SQLite would read whole for it."""
        with closing(sqlite3.connect(self.database)) as connection:
            plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
        return [line for *_, line in plan if re.match(rf"SCAN ({LARGE})\b", line)]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Large]:
    folder = tmp_path_factory.mktemp("large")
    services = FakeServices(Database.open(sqlite_url(folder)), GatewaySettings(database_url=sqlite_url(folder)))
    traffic = make_traffic(SMALL, NOW)

    async def fill() -> None:
        await upgrade(sqlite_url(folder))
        database = Database.open(sqlite_url(folder))
        await fill_register(database, SMALL, NOW)
        await fill_usage(database, SqliteBulk(database), traffic, NOW)
        _, tokens = await command._counted(database)
        assert len(set(tokens.values())) == 1, tokens
        async with database.reading() as session:
            services.feed.current = await load_snapshot(session)
        await database.close()

    asyncio.run(fill())
    services.nodes.nodes = [
        Node(
            f"http://127.0.1.{number + 1}:9000",
            pool_of(number, SMALL.nodes),
            None,
            status=node_status(number, SMALL),
            healthy=number > 1,
            failure=None if number > 1 else "connection refused",
        )
        for number in range(SMALL.nodes)
    ]
    app = create_admin_app(services, session_key=b"k" * 32, clock=time.time)
    app.on_shutdown.append(services.database.close)
    with TestClient(app, base_url="http://console.test") as client:
        client.follow_redirects = False
        page = client.get("/admin/sign-in").text
        token = re.search(r'name="csrf_token" value="([^"]*)"', page)[1]
        form = {"csrf_token": token, "name": OPERATOR, "password": PASSWORD}
        assert client.post("/admin/sign-in", data=form).status_code == 303
        yield Large(client, folder / "shoal.db", traffic.heaviest)


def test_every_page_asks_few_questions_and_none_of_single_records(large) -> None:
    wrong = {}
    for address in large.addresses:
        with large.watched() as seen:
            answer = large.client.get(address.url)
        if address.route not in EMPTY_HANDED:
            assert answer.status_code == 200, address.route
        asked = [statement for statement, _ in seen if statement.startswith("SELECT")]
        if not address.streams and len(asked) > MOST_STATEMENTS:
            wrong[address.route] = f"{len(asked)} questions"
        if any("usage_record" in statement for statement in asked):
            wrong[address.route] = "reads single records"
    assert wrong == {}


def test_no_page_reads_a_large_table_from_end_to_end(large) -> None:
    wrong = {}
    for address in large.addresses:
        with large.watched() as seen:
            large.client.get(address.url)
        for statement, parameters in seen:
            if statement.startswith("SELECT") and (scans := large.scans(statement, parameters)):
                wrong[address.route] = scans
    assert wrong == {}


def test_the_first_paint_of_every_page_is_small(large) -> None:
    sizes = {
        address.route: len(large.client.get(address.url).content) + FILES
        for address in large.addresses
        if not address.streams
    }
    assert {route: size for route, size in sizes.items() if size > MOST_BYTES} == {}


def test_a_watcher_sees_what_is_asked(large) -> None:
    with large.watched() as seen:
        large.client.get("/admin/tenants")
    assert any("FROM tenant" in statement for statement, _ in seen)
    assert large.scans("SELECT sum(tokens) FROM usage_hour", ())
    assert not large.scans("SELECT tokens FROM usage_hour WHERE tenant_id = ?", ("x",))
