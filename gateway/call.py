"""What is known of one request while it is served: filled in on the way down, read when the answer leaves."""

from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, TypeVar

from gateway.engine_client import Lane
from gateway.errors import ClientGone
from gateway.services.quota.reserving import Reservation
from gateway.services.snapshot.entries import KeyEntry, ModelEntry, PolicySnapshot
from gateway.tracing import UNRECORDED, Span

SCOPE_KEY = "shoal"
NO_POLICIES = PolicySnapshot()

Reply = TypeVar("Reply")


@dataclass(slots=True)
class Stream:
    """An answer whose bytes leave while it is made: what is known of it when it ends, or when its caller has left."""

    begun: float
    """Seconds from the request to the first byte."""
    upstream: float
    """Of these, spent waiting for nodes."""
    status: int = ClientGone.status
    """For the books: what it came to, whatever status its first byte bore; until its end, that nobody waits for it."""
    bytes_out: int = 0
    accounted: bool = False


@dataclass(slots=True)
class Call:
    """One request. `key` and `model` stay None until the caller and the model are known and allowed."""

    id: str
    headers: Mapping[bytes, bytes]
    endpoint: str = "other"
    """The route under its first name, for metrics and usage."""
    policies: PolicySnapshot = NO_POLICIES
    """The snapshot that this request is judged by, from its key to its limits."""
    key: KeyEntry | None = None
    model: ModelEntry | None = None
    path_model: str | None = None
    """The name of a model that is in the path, which goes before what the body says."""
    lane: Lane = "interactive"
    inputs: int = 0
    bytes_in: int = 0
    upstream: float = 0.0
    """Seconds spent waiting for nodes."""
    reservation: Reservation | None = None
    """Set once the request is admitted; from then on a usage record is due."""
    estimated: bool = False
    """Whether the tokens that the answer speaks of are a guess, since the server behind the model did not say."""
    stream: Stream | None = None
    """Set before the first byte of an answer that is accounted for at its end."""
    plain_errors: bool = False
    """Errors in TEI's shape, `{"error": "…", "error_type": "…"}`."""
    started: float = field(default_factory=perf_counter)
    status: int = 0
    """Of the answer, once there is one."""
    span: Span = UNRECORDED
    """The request's in its trace."""

    @property
    def elapsed(self) -> float:
        """Seconds since the request came."""
        return perf_counter() - self.started

    async def waiting_for(self, work: Awaitable[Reply]) -> Reply:
        """Await a node's work and count the time as the node's, not the gateway's."""
        began = perf_counter()
        try:
            return await work
        finally:
            self.upstream += perf_counter() - began


def header_fields(raw: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Headers by name; one that came more than once is one list, as RFC 9110 §5.2 has it.

    So two credentials in one header make none that is valid, rather than one that a proxy before us may not have seen.
    """
    fields: dict[bytes, bytes] = {}
    for name, value in raw:
        fields[name] = fields[name] + b", " + value if name in fields else value
    return fields


def call_of(scope: Any) -> Call:
    """The call that the shell put into an ASGI scope."""
    call: Call = scope[SCOPE_KEY]
    return call
