"""An engine node's settings: plain data, filled by the command line."""

from dataclasses import dataclass, field
from typing import Literal

Eviction = Literal["lru", "gdsf"]
"""Least recently used, or GreedyDual-Size-Frequency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """Everything that an operator may choose about an engine node."""

    device: str = "auto"
    """`auto`, `cpu` or `cuda:N`."""
    memory_budget: int | None = None
    """Bytes that resident models may take together; None: 80 % of what the device has free at start."""
    host_budget: int | None = None
    """Bytes of host memory for models that left the device; None: what the device makes sensible."""
    secret: str = field(default="", repr=False)
    """Expected bearer credential of the gateways; empty: none asked for (loopback only)."""
    threads: int | None = None
    """Intra-operation threads on the CPU; None: torch decides."""
    max_batch_tokens: int | None = None
    """None: what is fast on the device."""
    max_waiting_tokens: int = 1_000_000
    """Past this many waiting tokens a request is refused with `queue_full`."""
    load_patience: float = 120.0
    """Seconds that a request waits for its model to load before `model_loading`."""
    load_timeout: float = 600.0
    """Seconds after which a load is given up as one that never ends."""
    idle_timeout: float | None = None
    """Seconds after which a model that nobody used leaves the memory; None: only when the room is needed."""
    eviction: Eviction = "lru"
    """Which idle model leaves when another needs its room."""
    bulk_share: float = 0.1
    """Of the device's time that the bulk lane gets while interactive work would take it all; above 0, below 1."""
