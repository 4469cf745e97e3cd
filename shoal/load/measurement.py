"""What one run of a load came to."""

from collections.abc import Sequence

import msgspec


class Latency(msgspec.Struct, frozen=True):
    """Milliseconds from a request's first byte out to its reply's last byte in."""

    p50: float
    p90: float
    p99: float
    max: float


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """Counts what was answered inside the measured window; the warm-up is not in it."""

    connections: int
    seconds: float
    requests: int
    """Answered with status 200 and a readable body."""
    tokens: int
    """As the replies' own `usage` says."""
    bytes_received: int
    """Bodies of those replies."""
    requests_per_second: float
    tokens_per_second: float
    latency_ms: Latency | None
    """None where nothing was answered."""
    errors: dict[str, int]
    """By status, or by what went wrong with the connection."""
    first_error: str | None
    connections_opened: int
    """More than `connections` where the server does not keep its connections alive."""
    cpu_share: float
    """CPU seconds of the measuring process per second: 1.0 is one whole core that the server did not get."""


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which `share` (0..1) of the ordered values lie, interpolated between neighbours."""
    place = (len(ordered) - 1) * share
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def latency(seconds: Sequence[float]) -> Latency | None:
    """Percentiles of latencies in any order."""
    if not seconds:
        return None
    ordered = sorted(seconds)
    p50, p90, p99 = (percentile(ordered, share) * 1000 for share in (0.5, 0.9, 0.99))
    return Latency(p50, p90, p99, ordered[-1] * 1000)
