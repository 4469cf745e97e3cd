"""Who may come in: so many connections in all, so many from one address, and how much any of them may make us hold."""

from collections import Counter
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address

from gateway.services.access.callers import networks
from gateway.settings import CONNECTION_MEMORY, MAX_HEAD, GatewaySettings

TURNED_AWAY_IN_WORDS = 64
"""Connections beyond a limit that are told so; more of them are closed without a word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a server's clients may take together and each."""

    connections: int = 10_000
    """At one time."""
    connections_per_address: int | None = None
    """At one time from one address that is none of `trusted`; None: no limit, as behind a proxy."""
    trusted: tuple[str, ...] = ()
    """Networks of proxies, behind which many callers have one address."""
    head: int = MAX_HEAD
    """Bytes of a request's head, or of the trailers behind its body."""
    fields: int = 100
    """Headers of a request."""
    memory: int = CONNECTION_MEMORY
    """Bytes of requests that are not complete and of answers that are not taken, over all connections."""


def limits_of(settings: GatewaySettings) -> Limits:
    """What clients may take."""
    return Limits(
        connections=settings.max_connections,
        connections_per_address=settings.max_connections_per_address,
        trusted=settings.trusted_proxies,
        head=settings.max_head_bytes,
        fields=settings.max_headers,
        memory=settings.connection_memory,
    )


class Verdict(Enum):
    """What becomes of a connection."""

    SERVE = 0
    REFUSE = 1
    """Its first request is answered that there are too many."""
    DROP = 2
    """It is closed at once: too many are being told already."""


class Doorkeeper:
    """Counts connections; whoever is let in, in whatever way, must be seen off."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._trusted = networks(limits.trusted)
        self._all = 0
        self._refused = 0
        self._by_address: Counter[str] = Counter()

    def enter(self, address: str) -> Verdict:
        """A connection from `address` has come."""
        verdict = self._judge(address)
        if verdict is Verdict.REFUSE:
            self._refused += 1
        elif verdict is Verdict.SERVE:
            self._all += 1
            self._by_address[address] += 1
        return verdict

    def leave(self, address: str, verdict: Verdict) -> None:
        """It has gone, for which `enter` said `verdict`."""
        if verdict is Verdict.REFUSE:
            self._refused -= 1
        elif verdict is Verdict.SERVE:
            self._all -= 1
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]

    def _judge(self, address: str) -> Verdict:
        limits = self._limits
        each = limits.connections_per_address
        crowded = each is not None and self._by_address[address] >= each and not self._is_trusted(address)
        if not crowded and self._all < limits.connections:
            return Verdict.SERVE
        return Verdict.REFUSE if self._refused < TURNED_AWAY_IN_WORDS else Verdict.DROP

    def _is_trusted(self, address: str) -> bool:
        parsed = ip_address(address)
        return any(parsed.version == network.version and parsed in network for network in self._trusted)
