"""The options that commands share. Each can come as a `SHOAL_…` variable too; nothing else reads the environment."""

import os
from pathlib import Path
from typing import Annotated

import typer

from engine.settings import Eviction
from gateway.redis_address import FORM
from gateway.settings import AccessLog, QuotaOutage
from shoal.logs import LogFormat, LogLevel, LogSettings
from shoal.observation import Observation
from shoal.option_values import (
    checked_endpoint,
    checked_files,
    checked_redis_url,
    parse_bytes,
    parse_headers,
    parse_host_budget,
    parse_network,
    parse_public_url,
    parse_session_key,
)
from shoal.tracing.settings import TracingSettings

DATA_DIR = Path("data")

DataDir = Annotated[
    Path,
    typer.Option("--data-dir", envvar="SHOAL_DATA_DIR", metavar="FOLDER", help="Where `shoal serve` keeps its data."),
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        envvar="SHOAL_DATABASE_URL",
        metavar="URL",
        help="A database elsewhere: postgresql://user:password@host/name.",
    ),
]
Host = Annotated[str, typer.Option("--host", envvar="SHOAL_HOST", help="Address to listen on.")]
Port = Annotated[
    int, typer.Option("--port", envvar="SHOAL_PORT", min=0, max=65535, help="Port to listen on; 0: a free one.")
]
Device = Annotated[
    str, typer.Option("--device", envvar="SHOAL_DEVICE", metavar="auto|cpu|cuda:N", help="What runs the models.")
]
MemoryBudget = Annotated[
    int | None,
    typer.Option(
        "--memory-budget",
        envvar="SHOAL_MEMORY_BUDGET",
        parser=parse_bytes,
        metavar="SIZE",
        help="Bytes that models may take, such as 4GiB; without it, 80 % of what is free at the start.",
    ),
]
HostBudget = Annotated[
    int | None,
    typer.Option(
        "--host-budget",
        envvar="SHOAL_HOST_BUDGET",
        parser=parse_host_budget,
        metavar="SIZE",
        help="Bytes of host memory for models that left the device, to come back quickly; 0: none.",
    ),
]
IdleTimeout = Annotated[
    float | None,
    typer.Option(
        "--idle-timeout",
        envvar="SHOAL_IDLE_TIMEOUT",
        min=0.001,
        metavar="SECONDS",
        help="Unload models that nobody used for so long; without it, only when others need the room.",
    ),
]
LoadTimeout = Annotated[
    float,
    typer.Option(
        "--load-timeout",
        envvar="SHOAL_LOAD_TIMEOUT",
        min=0.001,
        metavar="SECONDS",
        help="Give up a load, download included, that takes longer.",
    ),
]
EvictionOrder = Annotated[
    Eviction,
    typer.Option(
        "--eviction",
        envvar="SHOAL_EVICTION",
        help="Who makes room: the least recently used model, or the one that is used least for its size and load time.",
    ),
]
BulkShare = Annotated[
    float,
    typer.Option(
        "--bulk-share",
        envvar="SHOAL_BULK_SHARE",
        min=0.01,
        max=0.9,
        help="Of the device, for the bulk lane while interactive requests could take it all.",
    ),
]
EngineSecret = Annotated[
    str,
    typer.Option(
        "--engine-secret", envvar="SHOAL_ENGINE_SECRET", help="What gateways and engine nodes know each other by."
    ),
]
TlsCert = Annotated[
    Path | None,
    typer.Option(
        "--tls-cert",
        envvar="SHOAL_TLS_CERT",
        exists=True,
        dir_okay=False,
        metavar="FILE",
        help="Certificate to show, in PEM; callers must speak TLS then.",
    ),
]
TlsKey = Annotated[
    Path | None,
    typer.Option("--tls-key", envvar="SHOAL_TLS_KEY", exists=True, dir_okay=False, metavar="FILE", help="Its key."),
]
TlsClientCa = Annotated[
    Path | None,
    typer.Option(
        "--tls-client-ca",
        envvar="SHOAL_TLS_CLIENT_CA",
        exists=True,
        dir_okay=False,
        metavar="FILE",
        help="Take only callers who show a certificate of this authority.",
    ),
]
EngineCa = Annotated[
    Path | None,
    typer.Option(
        "--engine-ca",
        envvar="SHOAL_ENGINE_CA",
        exists=True,
        dir_okay=False,
        metavar="FILE",
        help="Authority of the certificates that https:// nodes show.",
    ),
]
EngineCert = Annotated[
    Path | None,
    typer.Option(
        "--engine-cert",
        envvar="SHOAL_ENGINE_CERT",
        exists=True,
        dir_okay=False,
        metavar="FILE",
        help="Certificate to show to nodes that ask for one.",
    ),
]
EngineKey = Annotated[
    Path | None,
    typer.Option(
        "--engine-key", envvar="SHOAL_ENGINE_KEY", exists=True, dir_okay=False, metavar="FILE", help="Its key."
    ),
]
Nodes = Annotated[
    list[str] | None,
    typer.Option(
        "--node",
        envvar="SHOAL_NODES",
        metavar="[POOL=]URL",
        help="An engine node, or dns+http://name:port for all addresses of a name; several by repeating it.",
    ),
]
PoolPatience = Annotated[
    list[str] | None,
    typer.Option(
        "--pool-patience",
        envvar="SHOAL_POOL_PATIENCE",
        metavar="[POOL=]SECONDS",
        help="How long a request waits for a node while its pool has none; with a pool's name, for that one.",
    ),
]
PoolWaiting = Annotated[
    int,
    typer.Option(
        "--pool-waiting",
        envvar="SHOAL_POOL_WAITING",
        min=0,
        help="How many requests may wait so for one pool; more are told at once to come back.",
    ),
]
TenantName = Annotated[
    str, typer.Option("--tenant", envvar="SHOAL_TENANT", metavar="NAME", help="The tenant, by name or id.")
]
KeyId = Annotated[
    str | None,
    typer.Option("--key", envvar="SHOAL_KEY_ID", metavar="ID", help="Only this API key of the tenant, by its id."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads", envvar="SHOAL_THREADS", min=1, help="Threads of one computation on the CPU; else torch's choice."
    ),
]
MetricsKey = Annotated[
    str | None,
    typer.Option(
        "--metrics-key",
        envvar="SHOAL_METRICS_KEY",
        help="What a scraper of /metrics sends as its bearer credential; without it, only this machine may look.",
    ),
]
DefaultModel = Annotated[
    str | None,
    typer.Option("--default-model", envvar="SHOAL_DEFAULT_MODEL", help="Serves requests that name no model."),
]
GracePeriod = Annotated[
    float,
    typer.Option(
        "--grace-period", envvar="SHOAL_GRACE_PERIOD", min=0, help="Seconds to finish what is in flight when stopped."
    ),
]
DrainDelay = Annotated[
    float,
    typer.Option(
        "--drain-delay",
        envvar="SHOAL_DRAIN_DELAY",
        min=0,
        metavar="SECONDS",
        help="Before the grace period: take requests as ever while /health/ready says no, for balancers to notice.",
    ),
]
MaxBody = Annotated[
    int,
    typer.Option(
        "--max-body", envvar="SHOAL_MAX_BODY", parser=parse_bytes, metavar="SIZE", help="The largest body of a request."
    ),
]
MaxHead = Annotated[
    int,
    typer.Option(
        "--max-head",
        envvar="SHOAL_MAX_HEAD",
        parser=parse_bytes,
        metavar="SIZE",
        help="How much the headers of a request may be together.",
    ),
]
MaxHeaders = Annotated[
    int, typer.Option("--max-headers", envvar="SHOAL_MAX_HEADERS", min=1, help="How many headers a request may have.")
]
MaxConnections = Annotated[
    int,
    typer.Option(
        "--max-connections",
        envvar="SHOAL_MAX_CONNECTIONS",
        min=1,
        help="Connections that may be open; more are told to come back.",
    ),
]
ConnectionMemory = Annotated[
    int,
    typer.Option(
        "--connection-memory",
        envvar="SHOAL_CONNECTION_MEMORY",
        parser=parse_bytes,
        metavar="SIZE",
        help="How much requests that are not complete and answers that nobody takes may hold in a process.",
    ),
]
MaxConnectionsPerAddress = Annotated[
    int | None,
    typer.Option(
        "--max-connections-per-address",
        envvar="SHOAL_MAX_CONNECTIONS_PER_ADDRESS",
        min=1,
        help="Of those, from one address that is no trusted proxy; without it, any number.",
    ),
]


PublicUrl = Annotated[
    str | None,
    typer.Option(
        "--public-url",
        envvar="SHOAL_PUBLIC_URL",
        parser=parse_public_url,
        metavar="URL",
        help="Where browsers find the console, if behind a proxy: https://shoal.example.org.",
    ),
]
ConsoleHosts = Annotated[
    list[str] | None,
    typer.Option(
        "--console-host",
        envvar="SHOAL_CONSOLE_HOSTS",
        metavar="NAME",
        help="A host name at which the console answers; several by repeating it; without it, at any.",
    ),
]
TrustedProxies = Annotated[
    list[str] | None,
    typer.Option(
        "--trusted-proxy",
        envvar="SHOAL_TRUSTED_PROXIES",
        parser=parse_network,
        metavar="NETWORK",
        help="A proxy that is believed in whom it forwards for, where sign-ins are counted; several by repeating it.",
    ),
]
SessionKey = Annotated[
    str | None,
    typer.Option(
        "--session-key",
        envvar="SHOAL_SESSION_KEY",
        parser=parse_session_key,
        metavar="SECRET",
        help="What signs console sessions, the same on every gateway; without it, each data folder has its own.",
    ),
]
SecretKey = Annotated[
    str | None,
    typer.Option(
        "--secret-key",
        envvar="SHOAL_SECRET_KEY",
        parser=parse_session_key,
        metavar="SECRET",
        help="What credentials of upstreams are encrypted with, the same on every gateway; without it, each data "
        "folder has its own.",
    ),
]
AllowedUpstreams = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-upstream",
        envvar="SHOAL_ALLOWED_UPSTREAMS",
        parser=parse_network,
        metavar="NETWORK",
        help="Where upstreams may be called although it is not public, such as 10.0.0.0/8; several by repeating it.",
    ),
]
RedisUrl = Annotated[
    str | None,
    typer.Option(
        "--redis-url",
        envvar="SHOAL_REDIS_URL",
        callback=checked_redis_url,
        metavar="URL",
        help=f"A Redis in which several gateways count quotas together: {FORM}.",
    ),
]
QuotaOutageRule = Annotated[
    QuotaOutage,
    typer.Option(
        "--quota-outage",
        envvar="SHOAL_QUOTA_OUTAGE",
        help="What becomes of requests while that Redis is away; quotas are not counted meanwhile.",
    ),
]
UsageSpool = Annotated[
    Path | None,
    typer.Option(
        "--usage-spool",
        envvar="SHOAL_USAGE_SPOOL",
        metavar="FOLDER",
        help="Where usage waits for the database, on a local disk; without it, `usage` in the data folder.",
    ),
]
UsageSpoolLimit = Annotated[
    int,
    typer.Option(
        "--usage-spool-limit",
        envvar="SHOAL_USAGE_SPOOL_LIMIT",
        parser=parse_bytes,
        metavar="SIZE",
        help="How much may wait there; past it, requests that would be billed are refused.",
    ),
]
UsageRetention = Annotated[
    float | None,
    typer.Option(
        "--usage-retention",
        envvar="SHOAL_USAGE_RETENTION",
        min=1,
        metavar="DAYS",
        help="Delete single usage records that are older; sums per hour stay. Without it, nothing is deleted.",
    ),
]
Files = Annotated[
    str | None,
    typer.Option(
        "--files",
        envvar="SHOAL_FILES",
        callback=checked_files,
        metavar="FOLDER|s3://…",
        help="Where files of batches are kept: a folder, or a bucket that all gateways reach, as "
        "s3://\\[KEY:SECRET@]bucket\\[/prefix]\\[?endpoint=URL&region=NAME]; without it, `files` in the data folder.",
    ),
]
MaxFile = Annotated[
    int,
    typer.Option(
        "--max-file-bytes", envvar="SHOAL_MAX_FILE_BYTES", parser=parse_bytes, metavar="SIZE", help="The largest file."
    ),
]
MaxStored = Annotated[
    int,
    typer.Option(
        "--max-stored-bytes",
        envvar="SHOAL_MAX_STORED_BYTES",
        parser=parse_bytes,
        metavar="SIZE",
        help="How much the files of one tenant may take together.",
    ),
]
Workers = Annotated[
    int,
    typer.Option(
        "--workers",
        envvar="SHOAL_WORKERS",
        min=1,
        max=256,
        help="Processes that serve requests, one for each core; more than one need --redis-url.",
    ),
]
LogFormatOption = Annotated[
    LogFormat,
    typer.Option("--log-format", envvar="SHOAL_LOG_FORMAT", help="How logs are written; auto: text on a terminal."),
]
LogLevelOption = Annotated[
    LogLevel, typer.Option("--log-level", envvar="SHOAL_LOG_LEVEL", help="The least that is logged.")
]
AccessLogOption = Annotated[
    AccessLog,
    typer.Option(
        "--access-log",
        envvar="SHOAL_ACCESS_LOG",
        help="Which requests are logged; problems: those that failed, and slow ones.",
    ),
]
OtlpEndpoint = Annotated[
    str | None,
    typer.Option(
        "--otlp-endpoint",
        envvar="SHOAL_OTLP_ENDPOINT",
        callback=checked_endpoint,
        metavar="URL",
        help="An OpenTelemetry collector for traces, OTLP over HTTP: http://collector:4318. Without it, none are kept.",
    ),
]
OtlpHeaders = Annotated[
    str | None,
    typer.Option(
        "--otlp-headers",
        envvar="SHOAL_OTLP_HEADERS",
        metavar="NAME=VALUE,…",
        help="Sent to it with all traces, as a credential may have to be; values percent-encoded.",
    ),
]
TraceShare = Annotated[
    float,
    typer.Option(
        "--trace-share",
        envvar="SHOAL_TRACE_SHARE",
        min=0.0,
        max=1.0,
        help="Of all requests, for which a trace is kept; callers that trace may have a few more.",
    ),
]


def observation_of(
    log_format: LogFormat,
    log_level: LogLevel,
    endpoint: str | None,
    headers: str | None,
    *,
    share: float = 1.0,
    access_log: AccessLog = "problems",
) -> Observation:
    """What options say about logs and traces together. Raises BadParameter for headers that are none."""
    logs = LogSettings(log_format, log_level, every_request=access_log == "all")
    if endpoint is None:
        return Observation(logs=logs)
    return Observation(
        logs=logs, tracing=TracingSettings(endpoint=endpoint, headers=parse_headers(headers or ""), share=share)
    )


def inherited_environment() -> dict[str, str]:
    """The environment of a child process: ours less the settings, which a child is told in other ways."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SHOAL_")}  # noqa: TID251 (the one place)


def upstream_key() -> str | None:
    """The API key of an upstream, for commands that take one: never an argument, which every user could read."""
    return os.environ.get("SHOAL_UPSTREAM_KEY")  # noqa: TID251 (the one place)


def child_environment(engine_secret: str, otlp_headers: str | None = None) -> dict[str, str]:
    """The environment of a supervised engine: with what is secret; its other settings are said as options."""
    told = {"SHOAL_ENGINE_SECRET": engine_secret}
    if otlp_headers is not None:
        told["SHOAL_OTLP_HEADERS"] = otlp_headers
    return {**inherited_environment(), **told}
