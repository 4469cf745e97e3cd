"""`shoal serve`: everything on one machine: gateway, console, SQLite and one supervised engine node."""

import secrets
import sys
import time
from contextlib import AsyncExitStack, closing
from dataclasses import replace

from gateway.db import schema
from gateway.db.session import Database
from gateway.engine_client import NodeStatus, model_ref
from gateway.errors import GatewayError, Unavailable
from gateway.services.pools.node import Node
from gateway.services.register.models import ModelInfo, list_models
from gateway.settings import GatewaySettings
from shoal import __version__, process
from shoal.data_folder import DataFolder, RunningEngine
from shoal.first_run import STARTER_ALIAS, STARTER_ID, Credentials, check_starter, welcome
from shoal.gateway_process import CONSOLE, check_workers, serve_gateway
from shoal.logs import configure_logs
from shoal.options.engine import (
    BulkShare,
    Device,
    EvictionOrder,
    HostBudget,
    IdleTimeout,
    LoadTimeout,
    MemoryBudget,
    Threads,
)
from shoal.options.gateway import GatewayOptions
from shoal.options.groups import with_groups
from shoal.options.values import DEFAULT_POOL
from shoal.own_engine import EngineOptions, EngineView, free_port, kill_when_it_hangs, supervised, viewing
from shoal.supervisor import Supervisor


@with_groups
def serve(
    *,
    gateway: GatewayOptions,
    device: Device = "auto",
    memory_budget: MemoryBudget = None,
    host_budget: HostBudget = None,
    idle_timeout: IdleTimeout = None,
    load_timeout: LoadTimeout = 600.0,
    eviction: EvictionOrder = "lru",
    bulk_share: BulkShare = 0.1,
    threads: Threads = None,
) -> None:
    """Serve everything on this machine. The first start prints a first API key and a password for the console."""
    configure_logs(gateway.observation.logs)
    folder = DataFolder.at(gateway.data_dir)
    engine = RunningEngine(f"http://127.0.0.1:{free_port()}", secrets.token_urlsafe(32))
    settings = replace(
        gateway.settings(folder), nodes={DEFAULT_POOL: (engine.node_url,)}, engine_secret=engine.engine_secret
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
        log_format=gateway.log_format,
        log_level=gateway.log_level,
        otlp_endpoint=gateway.otlp_endpoint,
        otlp_headers=gateway.otlp_headers,
    )
    check_workers(gateway.workers, settings)
    process.run(_serve(gateway, folder, settings, engine, options))


async def _serve(
    gateway: GatewayOptions,
    folder: DataFolder,
    settings: GatewaySettings,
    engine: RunningEngine,
    options: EngineOptions,
) -> None:
    async with AsyncExitStack() as stack:
        stack.enter_context(folder.held())
        sock = stack.enter_context(closing(process.listen(gateway.host, gateway.port)))
        await schema.upgrade(settings.database_url)
        credentials, starter = await prepare(settings.database_url)
        stop = process.StopSignal()
        stack.enter_context(folder.announced(engine))
        supervisor = await stack.enter_async_context(supervised(engine, options, settings.grace_period))
        view = await stack.enter_async_context(viewing(engine, settings, starter))
        greet(process.address(sock), settings.public_url, credentials)
        await serve_gateway(
            settings,
            sock,
            stop,
            session_key=folder.session_key(gateway.session_key),
            workers=gateway.workers,
            beside=accompany(view, supervisor, process.address(sock), credentials),
            observation=gateway.observation,
        )


async def prepare(database_url: str) -> tuple[Credentials | None, ModelInfo | None]:
    """Fill a fresh database, or check that an older one's starter model is still there; and that model, if it is."""
    database = Database.open(database_url)
    try:
        credentials = await welcome(database)
        if credentials is None:
            await check_starter(database)
        async with database.reading() as session:
            registered = await list_models(session)
        return credentials, next((model for model in registered if model.id == STARTER_ID), None)
    finally:
        await database.close()


async def accompany(view: EngineView, supervisor: Supervisor, url: str, credentials: Credentials | None) -> None:
    """What runs beside the gateway: the welcome when all is ready, then an eye on the engine."""
    await say_when_ready(view, url, credentials)
    await kill_when_it_hangs(view, supervisor)


async def say_when_ready(view: EngineView, url: str, credentials: Credentials | None) -> None:
    """Load the starter model as soon as the engine is there, then say what to paste."""
    began = time.monotonic()

    async def warm_up(node: Node, time_left: float) -> NodeStatus:
        if view.starter is None:
            return await view.engines.status(node.url, time_left)
        return await view.engines.load(node.url, model_ref(view.starter), time_left)

    while True:
        try:
            await view.nodes.run(DEFAULT_POOL, STARTER_ID, warm_up)
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


def greet(url: str, public_url: str | None, credentials: Credentials | None) -> None:
    """Where things are, and on the first start the secrets that are shown once, before anything can go wrong."""
    print(f"Shoal {__version__}\n\n  API       {url}/v1\n  Console   {public_url or url}{CONSOLE}", flush=True)
    if credentials is not None:
        print(
            f"            operator {credentials.operator}, password {credentials.password}\n"
            f"  API key   {credentials.api_key}\n"
            f"            of the tenant {credentials.tenant}\n\n"
            "Password and key are shown this once; make others with shoal operator create and shoal key create.",
            flush=True,
        )
    print("\nStarting the engine and loading the starter model …", flush=True)
