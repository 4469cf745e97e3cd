"""What an operator may say of a gateway, whether it serves alone or with an engine of its own."""

from dataclasses import dataclass

from gateway.settings import (
    CONNECTION_MEMORY,
    MAX_BODY,
    MAX_FILE,
    MAX_HEAD,
    MAX_STORED,
    USAGE_SPOOL_LIMIT,
    GatewaySettings,
)
from shoal.data_folder import DataFolder
from shoal.observation import Observation
from shoal.options.console import ConsoleHosts, PublicUrl, SessionKey, TrustedProxies
from shoal.options.edge import (
    ConnectionMemory,
    DrainDelay,
    GracePeriod,
    MaxBody,
    MaxConnections,
    MaxConnectionsPerAddress,
    MaxHead,
    MaxHeaders,
    MetricsKey,
    Workers,
)
from shoal.options.observation import (
    AccessLogOption,
    LogFormatOption,
    LogLevelOption,
    OtlpEndpoint,
    OtlpHeaders,
    TraceShare,
    observation_of,
)
from shoal.options.oidc import OidcClaim, OidcClientId, OidcClientSecret, OidcIssuer, OidcRoles, oidc_of
from shoal.options.pools import DefaultModel, PoolPatience, PoolWaiting
from shoal.options.shared import DATA_DIR, DatabaseUrl, DataDir, Host, Port
from shoal.options.storage import (
    Files,
    MaxFile,
    MaxStored,
    QuotaOutageRule,
    RedisUrl,
    UsageRetention,
    UsageSpool,
    UsageSpoolLimit,
)
from shoal.options.upstreams import AllowedUpstreams, SecretKey
from shoal.options.values import database_at, files_at, parse_pool_patience, spool_at


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class GatewayOptions:
    """As they were typed; some are secrets, so that it has no text of its own."""

    host: Host = "127.0.0.1"
    port: Port = 8080
    data_dir: DataDir = DATA_DIR
    database_url: DatabaseUrl = None
    metrics_key: MetricsKey = None
    default_model: DefaultModel = None
    pool_patience: PoolPatience = None
    pool_waiting: PoolWaiting = 1000
    workers: Workers = 1
    redis_url: RedisUrl = None
    quota_outage: QuotaOutageRule = "deny"
    public_url: PublicUrl = None
    oidc_issuer: OidcIssuer = None
    oidc_client_id: OidcClientId = None
    oidc_client_secret: OidcClientSecret = None
    oidc_claim: OidcClaim = "groups"
    oidc_role: OidcRoles = None
    console_host: ConsoleHosts = None
    trusted_proxy: TrustedProxies = None
    session_key: SessionKey = None
    secret_key: SecretKey = None
    allow_upstream: AllowedUpstreams = None
    usage_spool: UsageSpool = None
    usage_spool_limit: UsageSpoolLimit = USAGE_SPOOL_LIMIT
    usage_retention: UsageRetention = None
    files: Files = None
    max_file_bytes: MaxFile = MAX_FILE
    max_stored_bytes: MaxStored = MAX_STORED
    grace_period: GracePeriod = 30.0
    drain_delay: DrainDelay = 0.0
    max_body: MaxBody = MAX_BODY
    max_head: MaxHead = MAX_HEAD
    max_headers: MaxHeaders = 100
    max_connections: MaxConnections = 10_000
    connection_memory: ConnectionMemory = CONNECTION_MEMORY
    max_connections_per_address: MaxConnectionsPerAddress = None
    access_log: AccessLogOption = "problems"
    log_format: LogFormatOption = "auto"
    log_level: LogLevelOption = "info"
    otlp_endpoint: OtlpEndpoint = None
    otlp_headers: OtlpHeaders = None
    trace_share: TraceShare = 0.01

    @property
    def observation(self) -> Observation:
        """What becomes of logs and traces. Raises BadParameter."""
        return observation_of(
            self.log_format,
            self.log_level,
            self.otlp_endpoint,
            self.otlp_headers,
            share=self.trace_share,
            access_log=self.access_log,
        )

    def settings(self, folder: DataFolder) -> GatewaySettings:
        """All but the nodes, and how they are reached. Raises BadParameter."""
        patience, patiences = parse_pool_patience(self.pool_patience or [])
        return GatewaySettings(
            database_url=database_at(folder.path, self.database_url),
            pool_patience=patience,
            pool_patiences=patiences,
            pool_waiting=self.pool_waiting,
            metrics_key=self.metrics_key,
            default_model=self.default_model,
            redis_url=self.redis_url,
            quota_outage=self.quota_outage,
            public_url=self.public_url,
            oidc=oidc_of(
                self.oidc_issuer, self.oidc_client_id, self.oidc_client_secret, self.oidc_claim, self.oidc_role
            ),
            console_hosts=tuple(self.console_host or ()),
            trusted_proxies=tuple(self.trusted_proxy or ()),
            secret_key=folder.secret_key(self.secret_key),
            allowed_upstreams=tuple(self.allow_upstream or ()),
            usage_spool=spool_at(folder.path, self.usage_spool),
            usage_spool_limit=self.usage_spool_limit,
            usage_retention=self.usage_retention,
            files=files_at(folder.path, self.files),
            max_file_bytes=self.max_file_bytes,
            max_stored_bytes=self.max_stored_bytes,
            grace_period=self.grace_period,
            drain_delay=self.drain_delay,
            max_body_bytes=self.max_body,
            max_head_bytes=self.max_head,
            max_headers=self.max_headers,
            max_connections=self.max_connections,
            connection_memory=self.connection_memory,
            max_connections_per_address=self.max_connections_per_address,
            access_log=self.access_log,
        )
