"""What the console needs of a running gateway, and nothing more; the composition root's `Services` fits."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from gateway.services.pools.node import Node
from gateway.services.register.quota_use import KnowsStandings
from gateway.services.register.sealing import Sealer
from gateway.services.register.upstreams import NewUpstream
from gateway.services.snapshot.entries import PolicySnapshot
from gateway.services.standing import Report
from gateway.services.upstreams.probe import Found
from gateway.settings import GatewaySettings


class OpensDatabase(Protocol):
    """Opens sessions on the database."""

    def transaction(self) -> AbstractAsyncContextManager[AsyncSession]:
        """A session whose changes are committed at the end of the block, or all undone."""

    def reading(self) -> AbstractAsyncContextManager[AsyncSession]:
        """A session that sees one consistent state and takes no lock."""


class KnowsPolicies(Protocol):
    """Follows the policies."""

    @property
    def current(self) -> PolicySnapshot:
        """The policies now."""


class KnowsNodes(Protocol):
    """Follows the engine nodes."""

    @property
    def nodes(self) -> Sequence[Node]:
        """Every node of every pool."""

    @property
    def pools(self) -> Mapping[str, Iterable[Node]]:
        """The same by pool."""


class KnowsUsage(Protocol):
    """Brings usage to the database."""

    @property
    def waiting(self) -> int:
        """Records that are not there yet."""

    @property
    def oldest_seconds(self) -> float:
        """How long the oldest of them has waited."""


class KnowsItself(Protocol):
    """Says how the gateway stands."""

    def report(self) -> Report:
        """How it stands now."""


@dataclass(frozen=True, slots=True)
class ApiQuestion:
    """A request to the public API in the name of a tenant, or of one of its keys; who asks has the right to."""

    tenant_id: str
    key_id: str | None
    """None: the tenant's own policies hold, and no key's."""
    path: str
    body: bytes


@dataclass(frozen=True, slots=True)
class ApiAnswer:
    """What the API said."""

    status: int
    headers: Mapping[str, str]
    """By their names in small letters."""
    body: bytes
    seconds: float


AsksApi = Callable[[ApiQuestion], Awaitable[ApiAnswer]]
"""Puts a question to the API as if it had come from outside: policies, limits and usage are those of any request."""


class KnowsUpstreams(Protocol):
    """Calls the servers of others."""

    @property
    def sealer(self) -> Sealer | None:
        """What their credentials are encrypted with; None: this gateway has no secret key."""

    @property
    def engine_pools(self) -> Collection[str]:
        """Names that no pool of them may have."""

    async def look(self, new: NewUpstream) -> Found:
        """Ask one whether it is there, whether it takes the key, and which models it has."""


class ConsoleServices(Protocol):
    """The opened services of a gateway, as far as pages show them."""

    @property
    def settings(self) -> GatewaySettings:
        """What the operator chose at the start."""

    @property
    def database(self) -> OpensDatabase:
        """Operators and tenants."""

    @property
    def feed(self) -> KnowsPolicies:
        """Keys and models."""

    @property
    def nodes(self) -> KnowsNodes:
        """Engine nodes."""

    @property
    def upstreams(self) -> KnowsUpstreams:
        """Servers of others."""

    @property
    def usage(self) -> KnowsUsage:
        """What waits to be written."""

    @property
    def standing(self) -> KnowsItself:
        """What is not as it should be."""

    @property
    def quota(self) -> KnowsStandings:
        """How limits stand."""
