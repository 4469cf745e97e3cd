"""Engine nodes: what they hold and how busy they are, as this gateway last heard."""

import msgspec

from gateway.api.admin.lists import Listed, Piece, listed, shown_as
from gateway.api.admin.operation import Ask, operation
from gateway.engine_client import LoadProgress
from gateway.services.pools.node import Node as KnownNode


class Resident(msgspec.Struct, frozen=True):
    """A model in a node's memory."""

    id: str
    revision: str | None
    tier: str
    """`device`, `host`, `loading` or `failed`."""
    bytes: int
    host_bytes: int
    in_use: int
    pinned: bool
    idle_seconds: float
    failure: str | None
    failure_code: str | None
    """`model_not_found`, `hub_unreachable`, `disk_full`, `model_invalid`, `model_too_large`, `load_timed_out` or
    `out_of_memory`."""
    progress: LoadProgress | None
    """How far its load is; null where it is not loading."""


class NodeState(msgspec.Struct, frozen=True):
    """What a node says of itself; memory in bytes."""

    version: str
    device: str
    memory_budget: int
    memory_used: int
    host_budget: int
    host_used: int
    waiting_requests: int
    waiting_tokens: int
    bulk_waiting_tokens: int
    tokens_per_second: float
    models: list[Resident]


class Node(msgspec.Struct, frozen=True):
    """One engine node."""

    url: str
    pool: str
    healthy: bool
    state: str
    """`healthy`, `away`, or `open`: it answers, and too many calls failed there of late."""
    failure: str | None
    """Why it is not healthy."""
    in_flight: int
    """Requests of the gateway process that answers."""
    status: NodeState | None
    """As last heard; null before the first answer."""


@operation("GET", "/nodes", right="fleet.look")
async def list_nodes(ask: Ask, query: Piece) -> Listed[Node]:
    """Every engine node of every pool."""
    return listed(ask.services.nodes.nodes, query, position=lambda node: f"{node.pool} {node.name}", shown=_shown)


def _shown(node: KnownNode) -> Node:
    state = None if node.status is None else shown_as(NodeState)(node.status)
    return Node(node.url, node.pool, node.healthy, node.state, node.failure, node.in_flight, state)


OPERATIONS = (list_nodes,)
