"""What an operator may choose about logs and traces of a process, and what is done with it."""

from dataclasses import dataclass, field

from shoal.logs import LogSettings
from shoal.tracing.settings import TracingSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """The same for a gateway and its workers, and for the engine node of `shoal serve`."""

    logs: LogSettings = field(default_factory=LogSettings)
    tracing: TracingSettings | None = None
    """None: no traces."""
