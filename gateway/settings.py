"""The gateway's settings: plain data, filled by the command line (shoal/options)."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

QuotaOutage = Literal["deny", "allow"]
AccessLog = Literal["none", "problems", "all"]
USAGE_SPOOL_LIMIT = 1024**3
MAX_FILE = 200 * 1024**2
MAX_STORED = 10 * 1024**3
POOL_PATIENCE = 15.0
MAX_BODY = 32 * 1024**2
MAX_HEAD = 64 * 1024
CONNECTION_MEMORY = 1024**3


OperatorRole = Literal["admin", "viewer", "tenant_admin"]


@dataclass(frozen=True, slots=True)
class OidcRole:
    """Who has this value in the claim has this role."""

    value: str
    """`*`: whoever the provider vouches for."""
    role: OperatorRole
    tenant: str | None = None
    """Of a tenant admin: by name or id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcSettings:
    """An OpenID provider where operators may sign in."""

    issuer: str
    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    """None: a public client, which PKCE alone guards."""
    claim: str = "groups"
    """What roles go by; with dots, a claim within another."""
    roles: tuple[OidcRole, ...] = ()
    """The first that fits counts; who has none of them stays outside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """Everything that an operator may choose about a gateway process."""

    database_url: str
    """SQLAlchemy URL with an async driver: `sqlite+aiosqlite:///…` or `postgresql+asyncpg://…`."""
    nodes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Pool name → base URLs of its engine nodes, or names whose addresses are: `dns+http://name:port`."""
    engine_secret: str = field(default="", repr=False)
    """Shared secret that engine nodes expect as bearer credential."""
    engine_ca: Path | None = None
    """Authorities of the certificates that `https://` nodes show; None: those that this machine trusts."""
    engine_cert: Path | None = None
    """What nodes that ask for a certificate are shown."""
    engine_key: Path | None = None
    tls_cert: Path | None = None
    """What clients are shown, who then have to speak TLS; None: they speak plain HTTP, to a proxy as a rule."""
    tls_key: Path | None = None
    metrics_key: str | None = field(default=None, repr=False)
    """Credential for `/metrics`; None: direct callers on this machine only."""
    default_model: str | None = None
    """Serves requests that name no model (some vector databases send none)."""
    max_body_bytes: int = MAX_BODY
    max_inputs: int | None = 16_384
    """Per request; 2048 is OpenAI's own, and clients send up to 5461. None: bounded by bytes alone, which bounds no
    answer: 32 MiB of empty strings ask for 22 GB of vectors."""
    pool_patience: float = POOL_PATIENCE
    """Seconds that a request waits for a node before it is told to come back."""
    pool_patiences: dict[str, float] = field(default_factory=dict)
    """The same for single pools."""
    pool_waiting: int = 1000
    """Requests that may wait for one pool; more are told to come back at once."""
    request_timeout: float = 300.0
    """Seconds a node may take for one request."""
    poll_interval: float = 1.0
    """Seconds between two looks at a node's status."""
    snapshot_interval: float = 0.5
    """Seconds between two looks at the database's policy revision."""
    redis_url: str | None = field(default=None, repr=False)
    """Where quotas are kept for several gateways; None: in this process, for itself alone."""
    quota_outage: QuotaOutage = "deny"
    """What becomes of requests while the quota store does not answer."""
    quota_timeout: float = 0.25
    """Seconds that the quota store may take for one answer."""
    secret_key: bytes | None = field(default=None, repr=False)
    """What credentials of upstreams are encrypted with in the database, 32 bytes; None: there can be none."""
    allowed_upstreams: tuple[str, ...] = ()
    """Networks that are not public in which upstreams may be called all the same."""
    usage_spool: Path | None = None
    """Folder of the write-ahead file; None: a temporary one, for tests and other short lives."""
    usage_spool_limit: int = USAGE_SPOOL_LIMIT
    """Bytes on disk that may wait for the database; past it nothing billable is admitted."""
    usage_flush_interval: float = 1.0
    usage_retention: float | None = None
    """Days for which single records are kept; roll-ups stay. None: for ever."""
    files: str | None = field(default=None, repr=False)
    """Where files of batches are kept: a folder, or a bucket as `s3://…`; None: a temporary folder."""
    max_file_bytes: int = MAX_FILE
    max_stored_bytes: int = MAX_STORED
    """That the files of one tenant may take together."""
    public_url: str | None = None
    """Where browsers find the console, if not where it listens: `https://shoal.example.org`, a proxy's address."""
    oidc: OidcSettings | None = None
    """Where operators may sign in besides by password."""
    console_hosts: tuple[str, ...] = ()
    """Host names at which the console answers; none: at any."""
    trusted_proxies: tuple[str, ...] = ()
    """Networks of proxies whose `x-forwarded-for` is believed where sign-ins are counted per address."""
    access_log: AccessLog = "problems"
    """Of which requests there is a line in the log; `problems`: those that failed, and slow ones."""
    grace_period: float = 30.0
    """Seconds in which a stopping process finishes what is in flight."""
    drain_delay: float = 0.0
    """Seconds before them in which it takes requests as ever, and says that it wants none, for balancers to notice."""
    max_head_bytes: int = MAX_HEAD
    """Of a request, and of what may come behind its body."""
    max_headers: int = 100
    max_connections: int = 10_000
    """Open at one time."""
    connection_memory: int = CONNECTION_MEMORY
    """Bytes of requests that are not complete and of answers that nobody takes, over all connections of a process."""
    max_connections_per_address: int | None = None
    """Of those, from one address that is none of `trusted_proxies`."""


def sqlite_url(data_dir: Path) -> str:
    """The URL of the embedded database in a data folder."""
    return f"sqlite+aiosqlite:///{data_dir / 'shoal.db'}"
