"""The pools of upstreams as the register has them now: members of the node directory, set anew when it changes."""

from collections.abc import Collection, Sequence
from ipaddress import ip_network

import structlog

from gateway.address_guard import AddressGuard
from gateway.services.pools.directory import NodeDirectory
from gateway.services.pools.node import Member
from gateway.services.register.sealing import Sealer
from gateway.services.register.upstreams import NewUpstream
from gateway.services.snapshot.entries import PolicySnapshot, UpstreamEntry
from gateway.services.upstreams.client import UpstreamClient
from gateway.services.upstreams.http import UpstreamHttp
from gateway.services.upstreams.probe import Found, look
from gateway.transport import AsyncioTransport

MOST_REPLY = 256 * 1024**2
"""Bytes of a whole reply: 2,048 vectors of 4,096 numbers, written out, are a hundred million."""
IDLE_SECONDS = 15.0
"""For which a connection to an upstream is kept: TLS to far away is dear."""

log = structlog.get_logger("shoal.upstreams")


def upstream_transport(allowed: Sequence[str]) -> AsyncioTransport:
    """What all upstreams are called through: only at public addresses, and in the networks that are allowed."""
    guard = AddressGuard([ip_network(network, strict=False) for network in allowed])
    return AsyncioTransport(guard=guard, reply_limit=MOST_REPLY, streaming=True, idle_seconds=IDLE_SECONDS)


class UpstreamPools:
    """Follows the register's upstreams: `follow` is told every snapshot."""

    def __init__(
        self,
        nodes: NodeDirectory,
        transport: AsyncioTransport,
        sealer: Sealer | None,
        engine_pools: Collection[str],
    ) -> None:
        self.transport = transport
        self.sealer = sealer
        """None: this gateway has no secret key, so upstreams can have no credentials."""
        self._nodes = nodes
        self._engine_pools = frozenset(engine_pools)
        self._clients: dict[UpstreamEntry, UpstreamClient] = {}
        self._pools: frozenset[str] = frozenset()

    @property
    def engine_pools(self) -> Collection[str]:
        """Names that no pool of upstreams may have."""
        return self._engine_pools

    async def look(self, new: NewUpstream) -> Found:
        """Ask a server whether it is there, whether it takes the key, and which models it has."""
        return await look(new, self.transport, self.sealer)

    def follow(self, snapshot: PolicySnapshot) -> None:
        """Have the pools consist of the upstreams of this snapshot. What did not change keeps its connections."""
        wanted = {pool: entries for pool, entries in snapshot.upstreams.items() if pool not in self._engine_pools}
        for pool in sorted(snapshot.upstreams.keys() - wanted.keys()):
            log.error("upstreams of a pool that has engine nodes here are left alone", pool=pool)
        entries = {entry for some in wanted.values() for entry in some}
        known = self._clients
        self._clients = {entry: known.get(entry) or self._client(entry) for entry in entries}
        for pool in sorted(self._pools - wanted.keys()):
            self._nodes.remove_pool(pool)
        for pool, some in wanted.items():
            self._nodes.set_pool(pool, [self._member(entry) for entry in some], alike=True)
        self._pools = frozenset(wanted)

    def _client(self, entry: UpstreamEntry) -> UpstreamClient:
        return UpstreamClient(entry, UpstreamHttp(entry, self.transport, self.sealer))

    def _member(self, entry: UpstreamEntry) -> Member:
        return Member(f"{entry.base_url}#{entry.id}", entry.base_url, self._clients[entry])
