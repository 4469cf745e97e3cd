"""How long requests wait for a node, as while a pool scales from zero, and how many of them."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from gateway.errors import Unavailable, UpstreamRefuses
from gateway.services.pools.node import Node
from gateway.services.pools.pool import Pool
from gateway.settings import GatewaySettings

RETRY_AFTER = 2.0
"""Seconds, for those for whom there was no node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """What an operator chose."""

    seconds: float = 15.0
    of_pools: Mapping[str, float] = field(default_factory=dict)
    """Where it is another."""
    most_waiting: int = 1000
    """Requests that may wait for one pool."""

    @classmethod
    def of(cls, settings: GatewaySettings) -> Self:
        """As the settings have it."""
        return cls(seconds=settings.pool_patience, of_pools=settings.pool_patiences, most_waiting=settings.pool_waiting)

    async def wait(self, pool: Pool, model_id: str, adapter: str | None, deadline: float) -> Node:
        """A healthy node of a pool that has none now, as soon as it has. Raises Unavailable where that is not soon."""
        if pool.refuses:
            raise UpstreamRefuses
        if pool.waiting >= self.most_waiting:
            raise Unavailable(
                f"Too many requests wait already for an engine node of the pool '{pool.name}', please try again later.",
                code="too_many_waiting",
                retry_after=RETRY_AFTER,
            )
        time_left = deadline - asyncio.get_running_loop().time()
        node = await pool.wait_for_node(
            model_id, adapter, min(self.of_pools.get(pool.name, self.seconds), max(0.0, time_left))
        )
        if node is None:
            raise self.no_node(pool.name)
        return node

    @staticmethod
    def no_node(pool: str) -> Unavailable:
        """For whom there was no node in time."""
        return Unavailable(
            f"No engine node of the pool '{pool}' is available now, please try again later.",
            code="no_engine_node",
            retry_after=RETRY_AFTER,
        )
