"""An engine node's settings: plain data, filled by the command line."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """Everything that an operator may choose about an engine node."""

    device: str = "auto"
    """`auto`, `cpu` or `cuda:N`."""
    memory_budget: int | None = None
    """Bytes that resident models may take together; None: 80 % of what the device has free at start."""
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
