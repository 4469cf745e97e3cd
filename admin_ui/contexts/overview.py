"""The overview, and its parts that refresh by themselves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from admin_ui.charts import Chart
from gateway.services.pools.loads import Load

Tone = Literal["good", "warn", "bad"]


@dataclass(frozen=True, slots=True)
class Concern:
    """Something that somebody should look at."""

    tone: Tone
    what: str
    why: str
    url: str | None = None
    """Where something can be done about it."""
    command: str | None = None
    """Or what to type."""


@dataclass(frozen=True, slots=True)
class AttentionPart:
    """What needs attention, the worst first; nothing: all is well."""

    template: ClassVar[str] = "overview/attention.html"

    concerns: Sequence[Concern]
    more: int
    """Besides those that are shown."""


@dataclass(frozen=True, slots=True)
class TrafficPart:
    """The last hour."""

    template: ClassVar[str] = "overview/traffic.html"

    requests: int
    tokens: int
    failed: int
    refused: int
    rate: float
    """Requests per second, over the last five minutes that are over."""
    median: float | None
    """Seconds, of the last minute in which anything was asked for."""
    slow: float | None
    upstream: float | None
    """The share of latency that nodes took then."""
    traffic: Chart
    latency: Chart


@dataclass(frozen=True, slots=True)
class MemorySegment:
    """One model's part of a node's memory bar."""

    model: str
    short: str
    """Its name without the organisation."""
    label: str
    """As much of that as has room in the bar."""
    state: str
    """`loading` or `resident`."""
    bytes: int
    x: float
    """Percent of the bar."""
    width: float
    """Percent of the bar."""
    shade: int
    """0 to 7; a model has the same one on every node of the page."""
    pinned: bool
    in_use: int
    idle: float
    """Seconds."""


@dataclass(frozen=True, slots=True)
class Rest:
    """The smaller models of a node, as one part of its bar."""

    count: int
    bytes: int
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class NodeLine:
    """One engine node."""

    id: str
    """One of a kind on the page."""
    url: str
    """Its page."""
    name: str
    state: str
    """In words."""
    tone: Tone
    problem: str | None
    heard: bool
    """Whether it ever told its status; all below is as last heard."""
    age: float | None = None
    """Seconds since that was, where it is too long ago to be true still."""
    device: str = ""
    resident: int = 0
    """Bytes that loaded models take."""
    allocated: int = 0
    """The same with what loads were given."""
    budget: int = 0
    """What models may take together."""
    host_used: int = 0
    host_budget: int = 0
    segments: Sequence[MemorySegment] = ()
    """The largest models."""
    rest: Rest | None = None
    loading: Sequence[Load] = ()
    """Models on their way into its memory."""
    failed: Sequence[tuple[str, str]] = ()
    """Models that could not be loaded, and why."""
    waiting_requests: int = 0
    waiting_tokens: int = 0
    in_flight: int = 0
    """Requests of this gateway."""
    tokens_per_second: float = 0.0
    backlog: float | None = None
    """Seconds of work that wait, by that speed."""


@dataclass(frozen=True, slots=True)
class PoolCard:
    """A pool and its nodes; the sums are over healthy nodes."""

    name: str
    url: str
    """The page with all of its nodes."""
    healthy: int
    nodes: Sequence[NodeLine]
    more: int
    """Nodes besides those that are shown."""
    resident: int
    allocated: int
    budget: int
    waiting_requests: int
    tokens_per_second: float
    in_flight: int


@dataclass(frozen=True, slots=True)
class PoolsPart:
    """Every pool."""

    template: ClassVar[str] = "overview/pools.html"

    pools: Sequence[PoolCard]
    more: int
    """Pools besides those that are shown."""
    large: bool
    """There are many nodes, and each is shown more briefly."""


@dataclass(frozen=True, slots=True)
class FirstStep:
    """One of the steps from a fresh installation to an answer."""

    title: str
    done: bool
    how: str
    url: str | None
    command: str | None = None


@dataclass(frozen=True, slots=True)
class OverviewPage:
    """The state of everything at a glance."""

    template: ClassVar[str] = "overview.html"

    steps: Sequence[FirstStep]
    """Empty once all are done."""
    models: int
    tenants: int
    suspended: int
    keys: int
    """Neither revoked nor expired."""
    attention: AttentionPart
    traffic: TrafficPart
    pools: PoolsPart
