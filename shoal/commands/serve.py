"""`shoal serve`: everything on one machine: gateway, console, SQLite and one supervised engine node."""

import asyncio
import contextlib
import secrets
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from dataclasses import asdict, dataclass

import structlog

from gateway.db import schema
from gateway.db.session import Database
from gateway.engine_client import NodeStatus, model_ref
from gateway.errors import GatewayError, Unavailable
from gateway.services.opened import Services
from gateway.settings import GatewaySettings
from shoal import __version__, process
from shoal.data_folder import DataFolder, RunningEngine
from shoal.first_run import STARTER_ALIAS, STARTER_ID, Credentials, check_starter, welcome
from shoal.gateway_process import CONSOLE, serve_gateway
from shoal.logs import configure_logs
from shoal.options import (
    DATA_DIR,
    DEFAULT_POOL,
    BulkShare,
    DatabaseUrl,
    DataDir,
    DefaultModel,
    Device,
    EvictionOrder,
    GracePeriod,
    Host,
    HostBudget,
    IdleTimeout,
    LoadTimeout,
    MemoryBudget,
    MetricsKey,
    Port,
    Threads,
    child_environment,
    database_at,
)
from shoal.supervisor import Supervisor

HANG_INTERVAL = 5.0
"""Seconds between two looks at whether the engine hangs."""
HUNG_LOOKS = 5
"""Questions for its status that it did not answer within their five seconds each."""

log = structlog.get_logger("shoal.serve")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """What of the command line is for the engine node."""

    device: str
    memory_budget: int | None
    host_budget: int | None
    idle_timeout: float | None
    load_timeout: float
    eviction: str
    bulk_share: float
    threads: int | None

    def command(self, port: int, grace_period: float) -> list[str]:
        """The engine node as a child of this process."""
        words = [sys.executable, "-m", "shoal", "engine", "--supervised", "--port", str(port)]
        words += ["--grace-period", str(grace_period)]
        for name, value in asdict(self).items():
            if value is not None:
                words += [f"--{name.replace('_', '-')}", str(value)]
        return words


def serve(
    host: Host = "127.0.0.1",
    port: Port = 8080,
    data_dir: DataDir = DATA_DIR,
    database_url: DatabaseUrl = None,
    device: Device = "auto",
    memory_budget: MemoryBudget = None,
    host_budget: HostBudget = None,
    idle_timeout: IdleTimeout = None,
    load_timeout: LoadTimeout = 600.0,
    eviction: EvictionOrder = "lru",
    bulk_share: BulkShare = 0.1,
    threads: Threads = None,
    metrics_key: MetricsKey = None,
    default_model: DefaultModel = None,
    grace_period: GracePeriod = 30.0,
) -> None:
    """Serve everything on this machine. The first start prints a first API key and a password for the console."""
    configure_logs()
    folder = DataFolder.at(data_dir)
    engine = RunningEngine(f"http://127.0.0.1:{free_port()}", secrets.token_urlsafe(32))
    settings = GatewaySettings(
        database_url=database_at(folder.path, database_url),
        nodes={DEFAULT_POOL: (engine.node_url,)},
        engine_secret=engine.engine_secret,
        metrics_key=metrics_key,
        default_model=default_model,
        grace_period=grace_period,
    )
    options = EngineOptions(
        device=device,
        memory_budget=memory_budget,
        host_budget=host_budget,
        idle_timeout=idle_timeout,
        load_timeout=load_timeout,
        eviction=eviction,
        bulk_share=bulk_share,
        threads=threads,
    )
    process.run(_serve(folder, settings, engine, options, host, port))


async def _serve(
    folder: DataFolder, settings: GatewaySettings, engine: RunningEngine, options: EngineOptions, host: str, port: int
) -> None:
    async with AsyncExitStack() as stack:
        stack.enter_context(folder.held())
        sock = stack.enter_context(closing(process.listen(host, port)))
        await schema.upgrade(settings.database_url)
        credentials = await prepare(settings.database_url)
        stop = process.StopSignal()
        stack.enter_context(folder.announced(engine))
        supervisor = await stack.enter_async_context(supervised(engine, options, settings.grace_period))
        greet(process.address(sock), credentials)
        await serve_gateway(
            settings,
            sock,
            stop,
            session_key=folder.session_key(),
            beside=lambda services: accompany(services, supervisor, process.address(sock), credentials),
        )


async def prepare(database_url: str) -> Credentials | None:
    """Fill a fresh database; check that an older one's starter model is still there."""
    database = Database.open(database_url)
    try:
        credentials = await welcome(database)
        if credentials is None:
            await check_starter(database)
        return credentials
    finally:
        await database.close()


@contextlib.asynccontextmanager
async def supervised(engine: RunningEngine, options: EngineOptions, grace_period: float) -> AsyncIterator[Supervisor]:
    """The engine node, kept alive for the length of the block."""
    port = int(engine.node_url.rpartition(":")[2])
    supervisor = Supervisor(options.command(port, grace_period), child_environment(engine.engine_secret))
    watching = asyncio.create_task(supervisor.run())
    try:
        yield supervisor
    finally:
        await supervisor.stop(grace_period)
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching


async def accompany(services: Services, supervisor: Supervisor, url: str, credentials: Credentials | None) -> None:
    """What runs beside the gateway: the welcome when all is ready, then an eye on the engine."""
    await say_when_ready(services, url, credentials)
    [node] = services.nodes.nodes
    while True:
        await asyncio.sleep(HANG_INTERVAL)
        if node.unanswered >= HUNG_LOOKS:
            log.error("engine lives and answers nothing; killed", looks=node.unanswered)
            supervisor.kill()
            node.unanswered = 0


async def say_when_ready(services: Services, url: str, credentials: Credentials | None) -> None:
    """Load the starter model as soon as the engine is there, then say what to paste."""
    began = time.monotonic()
    model = services.feed.current.models.get(STARTER_ID)

    async def warm_up(node: str, time_left: float) -> NodeStatus:
        if model is None:
            return await services.engines.status(node, time_left)
        return await services.engines.load(node, model_ref(model), time_left)

    while True:
        try:
            await services.nodes.run(DEFAULT_POOL, STARTER_ID, warm_up)
            break
        except Unavailable:
            continue  # the engine is still starting; run waited for it
        except GatewayError as error:
            print(f"The starter model did not load: {error.message}", file=sys.stderr, flush=True)
            break
    key = credentials.api_key if credentials is not None else "<your API key>"
    print(
        f"Ready after {time.monotonic() - began:.0f} s. Try it:\n\n"
        f"  export SHOAL_API_KEY={key}\n"
        f"  curl {url}/v1/embeddings \\\n"
        '    -H "Authorization: Bearer $SHOAL_API_KEY" \\\n'
        f'    -d \'{{"model": "{STARTER_ALIAS}", "input": "Herring swim in shoals."}}\'\n\n'
        "Stop with Ctrl-C.",
        flush=True,
    )


def greet(url: str, credentials: Credentials | None) -> None:
    """Where things are, and on the first start the secrets that are shown once, before anything can go wrong."""
    print(f"Shoal {__version__}\n\n  API       {url}/v1\n  Console   {url}{CONSOLE}", flush=True)
    if credentials is not None:
        print(
            f"            operator {credentials.operator}, password {credentials.password}\n"
            f"  API key   {credentials.api_key}\n"
            f"            of the tenant {credentials.tenant}\n\n"
            "Password and key are shown this once; make others with shoal operator create and shoal key create.",
            flush=True,
        )
    print("\nStarting the engine and loading the starter model …", flush=True)


def free_port() -> int:
    """A port on loopback that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port
