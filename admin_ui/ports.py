"""What the console needs of a running gateway, and nothing more; the composition root's `Services` fits."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from gateway.services.pools.node import Node
from gateway.services.snapshot.entries import PolicySnapshot
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
