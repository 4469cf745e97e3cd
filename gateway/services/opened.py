"""Everything that is open while a gateway runs, handed to whoever needs it."""

from dataclasses import dataclass

from gateway.db.session import Database
from gateway.engine_client import EngineClient
from gateway.observability import GatewayMetrics
from gateway.services.bulk.opened import Bulk
from gateway.services.pools.directory import NodeDirectory
from gateway.services.quota.outage import GuardedQuotaStore
from gateway.services.quota.reserving import Quota
from gateway.services.snapshot.feed import SnapshotFeed
from gateway.services.standing import Standing
from gateway.services.upstreams.following import UpstreamPools
from gateway.services.usage.recorder import UsageRecorder
from gateway.settings import GatewaySettings
from gateway.tracing import NO_TRACER, Tracer


@dataclass(frozen=True, slots=True)
class Services:
    """The opened services. `gateway.app.open_services` makes and closes them."""

    settings: GatewaySettings
    database: Database
    feed: SnapshotFeed
    quota: Quota
    usage: UsageRecorder
    nodes: NodeDirectory
    engines: EngineClient
    metrics: GatewayMetrics
    standing: Standing
    """Whether requests are welcome here; whoever stops the gateway sets `standing.draining` first."""
    upstreams: UpstreamPools
    bulk: Bulk
    """Files and batches."""
    shared_quota: GuardedQuotaStore | None = None
    """The store of quotas that several gateways share; None: they are kept in this process."""
    tracer: Tracer = NO_TRACER
    """Where traces of requests begin."""
