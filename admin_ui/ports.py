"""What the console needs of a running gateway, and nothing more; the composition root's `Services` fits."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from gateway.services.nodes import Node
from gateway.services.snapshot import PolicySnapshot


class ReadsDatabase(Protocol):
    """Opens sessions that see one consistent state and take no lock."""

    def reading(self) -> AbstractAsyncContextManager[AsyncSession]:
        """A session for the length of the block."""


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
    def database(self) -> ReadsDatabase:
        """Operators and tenants."""

    @property
    def feed(self) -> KnowsPolicies:
        """Keys and models."""

    @property
    def nodes(self) -> KnowsNodes:
        """Engine nodes."""
