"""What an operator may choose about traces."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class TracingSettings:
    """The same on both sides."""

    endpoint: str
    """Base URL of a collector that takes OTLP over HTTP: spans go to `/v1/traces` under it."""
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    """For every request to it; credentials, as a rule."""
    share: float = 0.01
    """Of the requests, that a gateway records of its own accord."""
