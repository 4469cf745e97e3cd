"""The overview."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class MemorySegment:
    """One model's part of a node's memory bar."""

    model: str
    state: str
    """`loading` or `resident`."""
    bytes: int
    start: float
    """Percent of the bar."""
    width: float
    """Percent of the bar."""
    shade: int
    """0 to 7; a model has the same one on every node of the page."""
    pinned: bool
    in_use: int


@dataclass(frozen=True, slots=True)
class NodePanel:
    """One engine node."""

    url: str
    pool: str
    healthy: bool
    problem: str | None
    """Why it is not healthy."""
    heard: bool
    """Whether it ever told its status; all below is as last heard."""
    device: str = ""
    memory_used: int = 0
    memory_budget: int = 0
    segments: tuple[MemorySegment, ...] = ()
    failed_models: tuple[tuple[str, str], ...] = ()
    """Models that could not be loaded, and why."""
    waiting_tokens: int = 0
    waiting_requests: int = 0
    in_flight: int = 0
    """Requests of this gateway."""
    tokens_per_second: float = 0.0


@dataclass(frozen=True, slots=True)
class ModelLine:
    """One registered model."""

    id: str
    aliases: tuple[str, ...]
    pool: str
    pinned: bool
    resident_on: int
    """Healthy nodes that hold it."""


@dataclass(frozen=True, slots=True)
class OverviewPage:
    """The state of everything at a glance."""

    template: ClassVar[str] = "overview.html"

    nodes: tuple[NodePanel, ...]
    healthy_nodes: int
    memory_used: int
    """Bytes, over healthy nodes."""
    memory_budget: int
    waiting_tokens: int
    models: tuple[ModelLine, ...]
    """The first of them, by id."""
    model_count: int
    tenant_count: int
    suspended_count: int
    key_count: int
    """Neither revoked nor expired."""
