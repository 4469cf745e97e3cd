"""Pools and their nodes: the list, and one of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from admin_ui.contexts.frame import Pager
from admin_ui.contexts.overview import NodeLine
from gateway.services.pools.loads import Load


@dataclass(frozen=True, slots=True)
class PoolNode:
    """A node as a line of its pool."""

    line: NodeLine
    age: float | None
    """Seconds since it was heard last; None: never."""
    models: int
    """That are in its memory, or that an upstream says it has."""
    failed: int
    """That could not be loaded."""


@dataclass(frozen=True, slots=True)
class PoolNodes:
    """A pool as far as this page goes."""

    name: str
    of_upstreams: bool
    healthy: int
    count: int
    resident: int
    allocated: int
    budget: int
    """Bytes, of its healthy nodes together."""
    nodes: Sequence[PoolNode]


@dataclass(frozen=True, slots=True)
class NodesPart:
    """The nodes of a page by pool; what is refreshed."""

    template: ClassVar[str] = "nodes/pools.html"

    pools: Sequence[PoolNodes]
    pager: Pager
    shown: int
    narrowed: bool
    """Whether a search leaves some out."""


@dataclass(frozen=True, slots=True)
class NodesPage:
    """Every pool and its nodes."""

    template: ClassVar[str] = "nodes.html"

    here: str
    live: str
    """Where its part is fetched anew."""
    q: str
    part: NodesPart


@dataclass(frozen=True, slots=True)
class HeldModel:
    """A model on a node."""

    id: str
    adapter: str | None
    url: str | None
    """Its page, if it is registered."""
    tier: str
    tone: str
    bytes: int
    host_bytes: int
    in_use: int
    idle: float
    pinned: bool
    native: bool
    load: Load | None
    """How far it is, while it is loading."""
    failure: str | None
    next: str
    """What to do about that."""


@dataclass(frozen=True, slots=True)
class NodePart:
    """How a node is now; what is refreshed."""

    template: ClassVar[str] = "nodes/node.html"

    line: NodeLine
    age: float | None
    of_upstreams: bool
    version: str
    draining: bool
    bulk_waiting_tokens: int
    models: Sequence[HeldModel]


@dataclass(frozen=True, slots=True)
class UpstreamFacts:
    """What the register says of an upstream; its credential nobody is told."""

    id: str
    url: str
    """Its page."""
    kind: str
    base_url: str
    has_key: bool


@dataclass(frozen=True, slots=True)
class NodePage:
    """One node."""

    template: ClassVar[str] = "node.html"

    name: str
    pool: str
    pool_url: str
    live: str
    upstream: UpstreamFacts | None
    """None: it is an engine node."""
    part: NodePart
