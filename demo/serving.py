"""The demo's fleet and its gateway in one process: real services on a real database, and nodes that pretend."""

import asyncio
import contextlib
import secrets
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import httpx
import msgspec
import structlog

from benchmarks import fake_engine
from demo.customers import (
    NORTHWIND,
    RERANKS,
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
AT_ONCE = 9
"""Requests of the bulk lane that are under way at one time."""
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
                    group.create_task(_ask(url, registered))

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


async def _ask(url: str, registered: Registered) -> None:
    """Real requests: of the bulk lane, so that something is under way, and of tenants who are near a limit."""
    async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client, asyncio.TaskGroup() as group:

        async def ask(tenant: str, key: str, path: str, body: Mapping[str, object]) -> None:
            authorization = {"authorization": f"Bearer {registered.secrets[tenant, key]}"}
            with contextlib.suppress(httpx.TransportError):  # the demo ends
                await client.post(path, json=body, headers=authorization)

        async def embed(tenant: str, key: str, model: str, pause: float) -> None:
            while True:
                await ask(tenant, key, "/v1/embeddings", {"model": model, "input": ["Small fish swim in shoals."]})
                await asyncio.sleep(pause)

        async def rerank() -> None:
            body = {"model": "rerank", "query": "Who swims?", "documents": ["Small fish swim.", "Cats sleep."]}
            for begun in count():
                await ask(NORTHWIND, "production", "/v1/rerank", body)
                await asyncio.sleep(60 / RERANKS if begun > RERANKS * 0.7 else 0)

        for place in range(AT_ONCE):
            model = "intfloat/multilingual-e5-large" if place % 3 else "intfloat/e5-base-v2"
            group.create_task(embed("Nightly Index", "batch", model, 0.05))
        group.create_task(embed("Zenith", "pilot", "BAAI/bge-m3", 2.0))
        group.create_task(rerank())
