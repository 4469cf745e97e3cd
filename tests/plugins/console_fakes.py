"""What the console stands on, for its tests: a real database, and beside it what a gateway would follow and count."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from engine.protocol import PROTOCOL_VERSION, NodeStatus, ResidentModel
from gateway.db.session import Database
from gateway.services.pools.node import Node
from gateway.services.register.sealing import Sealer
from gateway.services.register.upstreams import NewUpstream
from gateway.services.snapshot.entries import PolicySnapshot
from gateway.services.standing import Report
from gateway.services.upstreams.probe import Found
from gateway.settings import GatewaySettings
from policies.quota import Limit, Standings
from policies.quota import Standing as QuotaStanding

MIB = 1 << 20


class Clock:
    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@dataclass
class Nodes:
    nodes: list[Node] = field(default_factory=list)

    @property
    def pools(self) -> dict[str, list[Node]]:
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            found.setdefault(node.pool, []).append(node)
        return found


@dataclass
class Feed:
    current: PolicySnapshot = field(default_factory=PolicySnapshot)


@dataclass
class Usage:
    waiting: int = 0
    oldest_seconds: float = 0.0


@dataclass
class Standing:
    reasons: tuple[str, ...] = ()

    def report(self) -> Report:
        return Report("ready", self.reasons, policies=True, quota="up", pools={})


@dataclass
class Quota:
    """A store that answers `standings`, by kind what is left; None: it is away."""

    left: dict[str, int] | None = field(default_factory=dict)

    async def peek(self, limits: Sequence[Limit]) -> Standings:
        if self.left is None:
            return ()
        return [(limit, QuotaStanding(self.left.get(limit.kind, limit.amount), 0.0)) for limit in limits]


@dataclass
class Upstreams:
    """Looks find `found`; `looked` is what was looked at."""

    found: Found = field(default_factory=Found)
    sealer: Sealer | None = field(default_factory=lambda: Sealer(b"s" * 32))
    engine_pools: frozenset[str] = frozenset({"default"})
    looked: list[NewUpstream] = field(default_factory=list)

    async def look(self, new: NewUpstream) -> Found:
        self.looked.append(new)
        return self.found


@dataclass
class FakeServices:
    database: Database
    settings: GatewaySettings
    nodes: Nodes = field(default_factory=Nodes)
    feed: Feed = field(default_factory=Feed)
    usage: Usage = field(default_factory=Usage)
    standing: Standing = field(default_factory=Standing)
    quota: Quota = field(default_factory=Quota)
    upstreams: Upstreams = field(default_factory=Upstreams)


def new_node(
    url: str,
    *models: ResidentModel,
    healthy: bool = True,
    failure: str | None = None,
    budget: int = 1024 * MIB,
    heard: float = 0.0,
    pool: str = "default",
    name: str = "",
) -> Node:
    """A node that said this of itself; `heard` is on the loop's clock."""
    status = NodeStatus(
        protocol=PROTOCOL_VERSION,
        version="0.1.0",
        device="cpu",
        ready=True,
        memory_budget=budget,
        memory_used=sum(model.bytes for model in models),
        waiting_requests=3,
        waiting_tokens=1200,
        tokens_per_second=5400.0,
        models=list(models),
    )
    calls = {asyncio.Timeout(None) for _ in range(2)}
    return Node(url, pool, None, name, status, heard, healthy, failure, calls=calls)


def new_resident(
    id_: str, mib: int, state: str = "resident", *, pinned: bool = False, failure: str | None = None
) -> ResidentModel:
    """A model as a node's status names it."""
    tier = "loading" if state == "loading" else "device"
    return ResidentModel(id_, None, state, mib * MIB, 0, pinned, 0.0, 384, 512, failure, tier)
