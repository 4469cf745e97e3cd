"""The nodes of every pool, and sending a request to the right one.

A request waits up to `pool_patience` for a healthy node; one whose node breaks off is tried once more, elsewhere or on
the same node when it has come back. Both end in `Unavailable`, never in silence.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from gateway.errors import EngineGone, Unavailable
from gateway.services.pools.following import follow, mark_away
from gateway.services.pools.node import Member, Node, NodeClient
from gateway.services.pools.pool import Pool

ATTEMPTS = 2
STATUS_PATIENCE = 5.0
"""Seconds a node may take to say how it is."""

Reply = TypeVar("Reply")
Call = Callable[[Node, float], Awaitable[Reply]]
"""Does the work on this node, within so many seconds."""


class NodeDirectory:
    """The nodes by pool. `start` begins to follow them, `close` ends it."""

    def __init__(
        self,
        engines: NodeClient,
        pools: Mapping[str, Sequence[str]],
        *,
        poll_interval: float,
        pool_patience: float,
        request_timeout: float,
        status_patience: float = STATUS_PATIENCE,
    ) -> None:
        self._poll_interval = poll_interval
        self._pool_patience = pool_patience
        self._request_timeout = request_timeout
        self._status_patience = status_patience
        self._pools: dict[str, Pool] = {}
        self._followers: dict[Node, asyncio.Task[None]] = {}
        self._running = False
        for name, urls in pools.items():
            self.set_pool(name, [Member(url.rstrip("/"), url.rstrip("/"), engines) for url in urls])

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Every node of every pool."""
        return tuple(node for pool in self._pools.values() for node in pool)

    @property
    def pools(self) -> Mapping[str, Pool]:
        """By name."""
        return self._pools

    def start(self) -> None:
        """Begin to follow every node's status."""
        self._running = True
        for node in self.nodes:
            self._begin_to_follow(node)

    async def close(self) -> None:
        """Stop following."""
        self._running = False
        followers = list(self._followers.values())
        for follower in followers:
            follower.cancel()
        await asyncio.gather(*followers, return_exceptions=True)

    def set_pool(self, name: str, members: Iterable[Member]) -> None:
        """Have the pool consist of these from now on. Nodes that leave finish what they do; those that stay go on."""
        pool = self._pools.setdefault(name, Pool(name))
        wanted = {member.name: member for member in members}
        for node in tuple(pool):
            member = wanted.get(node.name)
            if member is None or (member.url, member.client) != (node.url, node.client):
                pool.remove(node.name)
                self._stop_following(node)
        for member in wanted.values():
            if member.name not in pool:
                node = Node(member.url, name, member.client, member.name)
                pool.add(node)
                self._begin_to_follow(node)

    def remove_pool(self, name: str) -> None:
        """Know the pool no more."""
        self.set_pool(name, ())
        self._pools.pop(name).announce()

    async def run(
        self,
        pool: str,
        model_id: str,
        call: Call[Reply],
        *,
        adapter: str | None = None,
        patience: float | None = None,
    ) -> Reply:
        """Do `call` on a node of the pool that suits the model and its adapter.

        Within `patience` seconds, if the caller states any.

        Raises Unavailable where none was there in time, and whatever the node answered otherwise.
        """
        loop = asyncio.get_running_loop()
        limit = self._request_timeout if patience is None else min(patience, self._request_timeout)
        deadline = loop.time() + limit
        failed: Node | None = None
        for _ in range(ATTEMPTS):
            node = await self._node_for(pool, model_id, adapter, failed, deadline - loop.time())
            try:
                return await self._call(node, call, deadline - loop.time())
            except EngineGone as error:
                mark_away(node, error.message)
                failed = node
        raise self._unavailable(pool)

    async def _node_for(self, pool: str, model_id: str, adapter: str | None, failed: Node | None, time: float) -> Node:
        known = self._pools.get(pool)
        if known is None:
            raise self._unavailable(pool)
        node = known.choose(model_id, adapter, failed)
        if node is None:
            node = await known.wait_for_node(model_id, adapter, min(self._pool_patience, time))
        if node is None:
            raise self._unavailable(pool)
        return node

    async def _call(self, node: Node, call: Call[Reply], time_left: float) -> Reply:
        """Do `call` on the node; raises EngineGone where the node stops answering anybody meanwhile."""
        try:
            async with asyncio.timeout(None) as until_it_hangs:
                node.calls.add(until_it_hangs)
                return await call(node, time_left)
        except TimeoutError:
            raise EngineGone("The engine node does not answer; please try again.", retry_after=1.0) from None
        finally:
            node.calls.discard(until_it_hangs)

    def _unavailable(self, pool: str) -> Unavailable:
        return Unavailable(
            f"No engine node of the pool '{pool}' is available now, please try again later.",
            code="no_engine_node",
            retry_after=max(1.0, self._poll_interval),
        )

    def _begin_to_follow(self, node: Node) -> None:
        if self._running and node not in self._followers:
            there = self._pools[node.pool].announce
            following = follow(node, self._poll_interval, self._status_patience, there)
            self._followers[node] = asyncio.create_task(following)

    def _stop_following(self, node: Node) -> None:
        follower = self._followers.pop(node, None)
        if follower is not None:
            follower.cancel()
