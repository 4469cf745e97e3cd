"""`shoal gateway`: the API and the console; engine nodes run elsewhere."""

from contextlib import closing

from gateway.db import schema
from gateway.settings import (
    CONNECTION_MEMORY,
    MAX_BODY,
    MAX_FILE,
    MAX_HEAD,
    MAX_STORED,
    USAGE_SPOOL_LIMIT,
    GatewaySettings,
)
from shoal import process
from shoal.data_folder import DataFolder
from shoal.gateway_process import check_workers, serve_gateway
from shoal.logs import configure_logs
from shoal.observation import Observation
from shoal.options import (
    DATA_DIR,
    AccessLogOption,
    AllowedUpstreams,
    ConnectionMemory,
    ConsoleHosts,
    DatabaseUrl,
    DataDir,
    DefaultModel,
    DrainDelay,
    EngineCa,
    EngineCert,
    EngineKey,
    EngineSecret,
    Files,
    GracePeriod,
    Host,
    LogFormatOption,
    LogLevelOption,
    MaxBody,
    MaxConnections,
    MaxConnectionsPerAddress,
    MaxFile,
    MaxHead,
    MaxHeaders,
    MaxStored,
    MetricsKey,
    Nodes,
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
    TlsCert,
    TlsKey,
    TraceShare,
    TrustedProxies,
    UsageRetention,
    UsageSpool,
    UsageSpoolLimit,
    Workers,
    database_at,
    files_at,
    observation_of,
    parse_nodes,
    parse_pool_patience,
    spool_at,
)


def gateway(
    host: Host = "127.0.0.1",
    port: Port = 8080,
    node: Nodes = None,
    data_dir: DataDir = DATA_DIR,
    database_url: DatabaseUrl = None,
    engine_secret: EngineSecret = "",
    engine_ca: EngineCa = None,
    engine_cert: EngineCert = None,
    engine_key: EngineKey = None,
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
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
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
    """Serve the API and the console. Run `shoal migrate` first, and `shoal engine` wherever models shall run.

    Without --node it serves the models of upstreams alone (shoal upstream add).
    """
    patience, patiences = parse_pool_patience(pool_patience or [])
    folder = DataFolder.at(data_dir)
    settings = GatewaySettings(
        database_url=database_at(data_dir, database_url),
        nodes=parse_nodes(node or []),
        pool_patience=patience,
        pool_patiences=patiences,
        pool_waiting=pool_waiting,
        engine_secret=engine_secret,
        engine_ca=engine_ca,
        engine_cert=engine_cert,
        engine_key=engine_key,
        tls_cert=tls_cert,
        tls_key=tls_key,
        metrics_key=metrics_key,
        default_model=default_model,
        redis_url=redis_url,
        quota_outage=quota_outage,
        public_url=public_url,
        console_hosts=tuple(console_host or ()),
        trusted_proxies=tuple(trusted_proxy or ()),
        secret_key=folder.secret_key(secret_key),
        allowed_upstreams=tuple(allow_upstream or ()),
        usage_spool=spool_at(data_dir, usage_spool),
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
    observation = observation_of(
        log_format, log_level, otlp_endpoint, otlp_headers, share=trace_share, access_log=access_log
    )
    configure_logs(observation.logs)
    check_workers(workers, settings)
    key = folder.session_key(session_key)
    process.run(_gateway(settings, host, port, key, workers, observation))


async def _gateway(
    settings: GatewaySettings, host: str, port: int, session_key: bytes, workers: int, observation: Observation
) -> None:
    with closing(process.listen(host, port)) as sock:
        await schema.check(settings.database_url)
        stop = process.StopSignal()
        print(f"Serving on {process.address(sock, settings.tls_cert)}. Stop with Ctrl-C.", flush=True)
        await serve_gateway(settings, sock, stop, session_key=session_key, workers=workers, observation=observation)
