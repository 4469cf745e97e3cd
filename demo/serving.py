"""The demo's fleet and its gateway in one process: real services on a real database, and nodes that pretend."""

import asyncio
import secrets
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import msgspec
import structlog

from benchmarks import fake_engine
from demo.callers import keep_asking
from demo.customers import (
    NORTHWIND,
    Registered,
    limit_nearly_spent,
    register_customers,
    register_operators,
)
from demo.nodes import FLEET, DemoNode, NodeSpec
from demo.traffic import Books
from demo.upstream import serve_upstream
from gateway.db.schema import upgrade
from gateway.db.session import Database
from gateway.services.opened import Services
from gateway.services.register.sealing import Sealer
from gateway.settings import GatewaySettings, sqlite_url
from shoal import process
from shoal.gateway_process import serve_alone

TICK = 2.0
"""Seconds between two entries into the books."""
SETTLED = 3.0
"""Seconds after which everything has been seen once."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where it is, and what may stand in addresses of its console."""

    url: str
    parameters: Mapping[str, str]


class Names(asyncio.SelectorEventLoop):
    """An event loop to which the nodes' names mean ports of this machine."""

    def __init__(self) -> None:
        super().__init__()
        self.ports: dict[str, int] = {}

    async def getaddrinfo(self, host: Any, port: Any, **hints: Any) -> Any:
        """As the system says, but for the names."""
        if (known := self.ports.get(f"{host}:{port}")) is not None:
            host, port = "127.0.0.1", known
        return await super().getaddrinfo(host, port, **hints)


@dataclass(frozen=True, slots=True)
class Running:
    """A node that listens."""

    node: DemoNode
    server: asyncio.Server

    @classmethod
    async def start(cls, spec: NodeSpec, stack: AsyncExitStack) -> Self:
        """Listen where its name will be found."""
        node = DemoNode(spec)
        server = await fake_engine.serve(node)
        stack.callback(server.close)
        _know(spec.name, server.sockets[0].getsockname()[1])
        return cls(node, server)


def run(port: int, folder: Path, *, empty: bool = False) -> None:
    """Serve until SIGINT or SIGTERM. Once there is something to see one line of JSON says where: a `Place`."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    with asyncio.Runner(loop_factory=Names) as runner:
        runner.run(_serve(port, folder, empty=empty))


async def _serve(port: int, folder: Path, *, empty: bool) -> None:
    secret = secrets.token_bytes(32)
    async with AsyncExitStack() as stack:
        nodes = [] if empty else [await Running.start(spec, stack) for spec in FLEET]
        upstream = await stack.enter_async_context(await serve_upstream())
        port_there = upstream.sockets[0].getsockname()[1]
        _know(f"vllm-1:{port_there}", port_there)
        database = Database.open(sqlite_url(folder))
        stack.push_async_callback(database.close)
        await upgrade(sqlite_url(folder))
        upstream_url = f"http://vllm-1:{port_there}/v1"
        await register_operators(database)
        registered = Registered() if empty else await register_customers(database, upstream_url, Sealer(secret))
        books = Books(database, registered)
        if not empty:
            await books.write_past(datetime.now(UTC))
            await limit_nearly_spent(database, registered)
        settings = GatewaySettings(
            database_url=sqlite_url(folder),
            nodes=_pools(nodes),
            secret_key=secret,
            allowed_upstreams=("127.0.0.0/8",),
        )
        sock = process.listen("127.0.0.1", port)
        url = process.address(sock)

        async def beside(_: Services) -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(_tell(url, registered))
                if not empty:
                    group.create_task(_keep_books(books))
                    group.create_task(_leave(nodes))
                    group.create_task(keep_asking(url, registered))

        await serve_alone(settings, sock, process.StopSignal(), session_key=secret, beside=beside)


def _know(name: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    if isinstance(loop, Names):
        loop.ports[name] = port


def _pools(nodes: Sequence[Running]) -> dict[str, tuple[str, ...]]:
    pools: dict[str, tuple[str, ...]] = {}
    for one in nodes:
        pools[one.node.spec.pool] = (*pools.get(one.node.spec.pool, ()), f"http://{one.node.spec.name}")
    return pools


async def _tell(url: str, registered: Registered) -> None:
    await asyncio.sleep(SETTLED)
    parameters = {
        "tenant": registered.tenants.get(NORTHWIND, "-"),
        "key": registered.keys.get((NORTHWIND, "production"), "-"),
        "model": "BAAI/bge-m3",
        "suspended": registered.tenants.get("Fjord Travel", "-"),
        "node": _in_address("gpu", "http://gpu-1:9000"),
        "away": _in_address("gpu", "http://gpu-3:9000"),
        "upstream_node": _in_address("chat", registered.upstream),
        "upstream": registered.upstream.rpartition("#")[2],
        "alias": "search",
        "operator": "ada",
        "token": registered.token,
        "rest": "nowhere",
    }
    sys.stdout.write(msgspec.json.encode(asdict(Place(url, parameters))).decode() + "\n")
    sys.stdout.flush()


def _in_address(pool: str, node: str) -> str:
    return quote(f"{pool}~{node}".replace("/", "|"), safe="|:~.")


async def _keep_books(books: Books) -> None:
    while True:
        await asyncio.sleep(TICK)
        await books.write_present(TICK)


async def _leave(nodes: Sequence[Running]) -> None:
    await asyncio.sleep(SETTLED / 2)
    for one in nodes:
        if one.node.spec.leaves:
            one.node.gone = True
            one.server.close()
