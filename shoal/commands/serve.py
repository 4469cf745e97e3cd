"""`shoal serve`: everything on one machine: gateway, console, SQLite and one supervised engine node."""

import secrets
import sys
import time
from contextlib import AsyncExitStack, closing

from gateway.db import schema
from gateway.db.session import Database
from gateway.engine_client import NodeStatus, model_ref
from gateway.errors import GatewayError, Unavailable
from gateway.services.pools.node import Node
from gateway.services.register.models import ModelInfo, list_models
from gateway.settings import (
    CONNECTION_MEMORY,
    MAX_BODY,
    MAX_FILE,
    MAX_HEAD,
    MAX_STORED,
    USAGE_SPOOL_LIMIT,
    GatewaySettings,
)
from shoal import __version__, process
from shoal.data_folder import DataFolder, RunningEngine
from shoal.first_run import STARTER_ALIAS, STARTER_ID, Credentials, check_starter, welcome
from shoal.gateway_process import CONSOLE, check_workers, serve_gateway
from shoal.logs import configure_logs
from shoal.observation import Observation
from shoal.options import (
    DATA_DIR,
    DEFAULT_POOL,
    AccessLogOption,
    AllowedUpstreams,
    BulkShare,
    ConnectionMemory,
    ConsoleHosts,
    DatabaseUrl,
    DataDir,
    DefaultModel,
    Device,
    DrainDelay,
    EvictionOrder,
    Files,
    GracePeriod,
    Host,
    HostBudget,
    IdleTimeout,
    LoadTimeout,
    LogFormatOption,
    LogLevelOption,
    MaxBody,
    MaxConnections,
    MaxConnectionsPerAddress,
    MaxFile,
    MaxHead,
    MaxHeaders,
    MaxStored,
    MemoryBudget,
    MetricsKey,
    OtlpEndpoint,
    OtlpHeaders,
    PoolPatience,
    PoolWaiting,
    Port,
    PublicUrl,
    QuotaOutageRule,
    RedisUrl,
    SecretKey,
    SessionKey,
    Threads,
    TraceShare,
    TrustedProxies,
    UsageRetention,
    UsageSpool,
    UsageSpoolLimit,
    Workers,
    database_at,
    files_at,
    observation_of,
    parse_pool_patience,
    spool_at,
)
from shoal.own_engine import EngineOptions, EngineView, free_port, kill_when_it_hangs, supervised, viewing
from shoal.supervisor import Supervisor


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
    pool_patience: PoolPatience = None,
    pool_waiting: PoolWaiting = 1000,
    workers: Workers = 1,
    redis_url: RedisUrl = None,
    quota_outage: QuotaOutageRule = "deny",
    public_url: PublicUrl = None,
    console_host: ConsoleHosts = None,
    trusted_proxy: TrustedProxies = None,
    session_key: SessionKey = None,
    secret_key: SecretKey = None,
    allow_upstream: AllowedUpstreams = None,
    usage_spool: UsageSpool = None,
    usage_spool_limit: UsageSpoolLimit = USAGE_SPOOL_LIMIT,
    usage_retention: UsageRetention = None,
    files: Files = None,
    max_file_bytes: MaxFile = MAX_FILE,
    max_stored_bytes: MaxStored = MAX_STORED,
    grace_period: GracePeriod = 30.0,
    drain_delay: DrainDelay = 0.0,
    max_body: MaxBody = MAX_BODY,
    max_head: MaxHead = MAX_HEAD,
    max_headers: MaxHeaders = 100,
    max_connections: MaxConnections = 10_000,
    connection_memory: ConnectionMemory = CONNECTION_MEMORY,
    max_connections_per_address: MaxConnectionsPerAddress = None,
    access_log: AccessLogOption = "problems",
    log_format: LogFormatOption = "auto",
    log_level: LogLevelOption = "info",
    otlp_endpoint: OtlpEndpoint = None,
    otlp_headers: OtlpHeaders = None,
    trace_share: TraceShare = 0.01,
) -> None:
    """Serve everything on this machine. The first start prints a first API key and a password for the console."""
    observation = observation_of(
        log_format, log_level, otlp_endpoint, otlp_headers, share=trace_share, access_log=access_log
    )
    configure_logs(observation.logs)
    folder = DataFolder.at(data_dir)
    engine = RunningEngine(f"http://127.0.0.1:{free_port()}", secrets.token_urlsafe(32))
    patience, patiences = parse_pool_patience(pool_patience or [])
    settings = GatewaySettings(
        database_url=database_at(folder.path, database_url),
        nodes={DEFAULT_POOL: (engine.node_url,)},
        pool_patience=patience,
        pool_patiences=patiences,
        pool_waiting=pool_waiting,
        engine_secret=engine.engine_secret,
        metrics_key=metrics_key,
        default_model=default_model,
        redis_url=redis_url,
        quota_outage=quota_outage,
        public_url=public_url,
        console_hosts=tuple(console_host or ()),
        trusted_proxies=tuple(trusted_proxy or ()),
        secret_key=folder.secret_key(secret_key),
        allowed_upstreams=tuple(allow_upstream or ()),
        usage_spool=spool_at(folder.path, usage_spool),
        usage_spool_limit=usage_spool_limit,
        usage_retention=usage_retention,
        files=files_at(data_dir, files),
        max_file_bytes=max_file_bytes,
        max_stored_bytes=max_stored_bytes,
        grace_period=grace_period,
        drain_delay=drain_delay,
        max_body_bytes=max_body,
        max_head_bytes=max_head,
        max_headers=max_headers,
        max_connections=max_connections,
        connection_memory=connection_memory,
        max_connections_per_address=max_connections_per_address,
        access_log=access_log,
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
        log_format=log_format,
        log_level=log_level,
        otlp_endpoint=otlp_endpoint,
        otlp_headers=otlp_headers,
    )
    check_workers(workers, settings)
    process.run(_serve(folder, settings, engine, options, host, port, session_key, workers, observation))


async def _serve(
    folder: DataFolder,
    settings: GatewaySettings,
    engine: RunningEngine,
    options: EngineOptions,
    host: str,
    port: int,
    session_key: str | None,
    workers: int,
    observation: Observation,
) -> None:
    async with AsyncExitStack() as stack:
        stack.enter_context(folder.held())
        sock = stack.enter_context(closing(process.listen(host, port)))
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
            session_key=folder.session_key(session_key),
            workers=workers,
            beside=accompany(view, supervisor, process.address(sock), credentials),
            observation=observation,
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
