"""Everything that is open while a gateway runs, handed to whoever needs it."""

from dataclasses import dataclass

from gateway.db.session import Database
from gateway.engine_client import EngineClient
from gateway.observability import GatewayMetrics
from gateway.services.nodes import NodeDirectory
from gateway.services.quota import Quota
from gateway.services.quota_outage import GuardedQuotaStore
from gateway.services.snapshot_feed import SnapshotFeed
from gateway.services.usage import UsageRecorder
from gateway.settings import GatewaySettings


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
    shared_quota: GuardedQuotaStore | None = None
    """The store of quotas that several gateways share; None: they are kept in this process."""
