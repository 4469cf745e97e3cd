"""Whether this gateway wants requests: what /health/ready says, and why.

Only what another gateway may do better takes it out of service: it is stopping, it has no room for usage, or it has
never reached any of the nodes that it knows, as one does that was set up wrongly or is cut off; so a rollout stops at
the first of those. What all gateways share does not, because none would be left to answer and to say when to come
back: the database (policies and keys stay as they were last known, however old), the quota store (its operator chose
what happens then), and nodes that were there and are away. Pools without nodes are at rest; a request wakes them.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from gateway.services.pools.directory import NodeDirectory
from gateway.services.quota.outage import GuardedQuotaStore
from gateway.services.snapshot.feed import SnapshotFeed
from gateway.services.usage.recorder import UsageRecorder

Status = Literal["ready", "starting", "draining", "no_room"]


class PoolStanding(msgspec.Struct, frozen=True):
    """How many nodes of a pool there are, and how many of them can serve."""

    nodes: int
    healthy: int


class Report(msgspec.Struct, frozen=True):
    """What /health/ready says."""

    status: Status
    reasons: tuple[str, ...]
    """What is not as it should be, whether it makes this gateway unready or not."""
    policies: bool
    """Whether they are known."""
    quota: str
    """Who decides on quotas."""
    pools: Mapping[str, PoolStanding]

    @property
    def ready(self) -> bool:
        """Whether requests are welcome."""
        return self.status == "ready"


class Standing:
    """Looks at the services whenever it is asked. Whoever stops the gateway sets `draining` first."""

    def __init__(
        self, feed: SnapshotFeed, usage: UsageRecorder, nodes: NodeDirectory, shared_quota: GuardedQuotaStore | None
    ) -> None:
        self.draining = False
        """From when the gateway is told to stop; it still answers, and wants nothing new."""
        self._feed = feed
        self._usage = usage
        self._nodes = nodes
        self._shared_quota = shared_quota
        self._reached = False

    def report(self) -> Report:
        """How things stand now."""
        policies = self._feed.current.revision >= 0
        has_room = self._usage.has_room
        self._reached = self._reached or not self._nodes.nodes or any(node.healthy for node in self._nodes.nodes)
        status: Status = "ready"
        if self.draining:
            status = "draining"
        elif not (policies and self._reached):
            status = "starting"
        elif not has_room:
            status = "no_room"
        pools = {name: PoolStanding(len(pool), pool.healthy) for name, pool in self._nodes.pools.items()}
        return Report(status, self._reasons(pools, has_room=has_room), policies, self._quota, pools)

    @property
    def _quota(self) -> str:
        if self._shared_quota is None or self._shared_quota.up:
            return "up"
        return "away, requests are denied" if self._shared_quota.rule == "deny" else "away, requests are allowed"

    def _reasons(self, pools: Mapping[str, PoolStanding], *, has_room: bool) -> tuple[str, ...]:
        reasons = []
        if self.draining:
            reasons.append("This gateway is stopping.")
        if self._feed.away:
            reasons.append(f"The database is away; policies are {self._feed.age:.0f} s old.")
        if not has_room:
            reasons.append("There is no room for usage, so what would be billed is refused.")
        if self._quota != "up":
            reasons.append(f"The quota store is {self._quota}.")
        lacking = [name for name, pool in pools.items() if pool.nodes and not pool.healthy]
        reasons += [f"No node of the pool '{name}' is healthy." for name in lacking]
        if not self._reached:
            reasons.append("No node has been reached since the start.")
        return tuple(reasons)
