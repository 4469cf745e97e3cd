"""The nodes of every pool, and sending a request to the right one.

A request waits up to its pool's patience for a healthy node. One whose node breaks off, leaves or is full is tried once
more, on another one or on the same when it has come back, within the same deadline. What ends well elsewhere is never
seen by callers; what does not is an error that they may try again.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from gateway.errors import EngineGone, EngineOverloaded, UpstreamRefuses
from gateway.observability import GatewayMetrics
from gateway.services.pools.attempt import Call, attempt
from gateway.services.pools.discovery import Discovery, Resolve, Service, resolve
from gateway.services.pools.following import Following
from gateway.services.pools.node import Member, Node, NodeClient
from gateway.services.pools.passage import Passage
from gateway.services.pools.patience import Patience
from gateway.services.pools.pool import Pool

STATUS_PATIENCE = 5.0
"""Seconds a node may take to say how it is."""

Reply = TypeVar("Reply")


class NodeDirectory:
    """The nodes by pool. `start` begins to follow them, `close` ends it.

    `pools` says of each where its nodes are: base URLs of engine nodes, and names of services (discovery.py).
    `client_for` gives the client for nodes whose certificate has that name; None: that of their URL.
    """

    def __init__(
        self,
        client_for: Callable[[str | None], NodeClient],
        pools: Mapping[str, Sequence[str]],
        *,
        poll_interval: float,
        patience: Patience,
        request_timeout: float,
        status_patience: float = STATUS_PATIENCE,
        resolve: Resolve = resolve,
        quiet: bool = False,
        metrics: GatewayMetrics | None = None,
    ) -> None:
        self._metrics = metrics or GatewayMetrics()
        self._patience = patience
        self._request_timeout = request_timeout
        self._following = Following(interval=poll_interval, patience=status_patience, quiet=quiet)
        self._pools: dict[str, Pool] = {}
        self._discoveries: list[Discovery] = []
        self._looking_up: list[asyncio.Task[None]] = []
        self._running = False
        for name, places in pools.items():
            services = [service for place in places if (service := Service.parse(place)) is not None]
            urls = [place.rstrip("/") for place in places if Service.parse(place) is None]
            self.set_pool(name, [Member(url, url, client_for(None)) for url in urls])
            for service in services:
                self._discover(self._pools[name], service, client_for(service.certified), resolve)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Every node of every pool."""
        return tuple(node for pool in self._pools.values() for node in pool)

    @property
    def pools(self) -> Mapping[str, Pool]:
        """By name."""
        return self._pools

    def start(self) -> None:
        """Begin to follow names and nodes."""
        self._running = True
        self._looking_up = [asyncio.create_task(discovery.follow()) for discovery in self._discoveries]
        for node in self.nodes:
            self._following.begin(node, self._pools[node.pool])

    async def close(self) -> None:
        """Stop following."""
        self._running = False
        for task in self._looking_up:
            task.cancel()
        await asyncio.gather(*self._looking_up, return_exceptions=True)
        await self._following.close()

    def set_pool(self, name: str, members: Iterable[Member], *, alike: bool = False) -> None:
        """Have the pool consist of these from now on. Nodes that leave finish what they do; those that stay go on.

        `alike`: every one of them serves every model.
        """
        if name not in self._pools:
            self._pools[name] = Pool(name, alike=alike)
        pool = self._pools[name]
        wanted = {member.name: member for member in members}
        for node in tuple(pool):
            member = wanted.get(node.name)
            if member is None or (member.url, member.client) != (node.url, node.client):
                self._drop(node)
        for member in wanted.values():
            if member.name not in pool:
                self._have(pool, member)

    def remove_pool(self, name: str) -> None:
        """Know the pool no more; whoever waits for it learns that when its patience ends."""
        self.set_pool(name, ())
        del self._pools[name]

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
        known = self._pools.get(pool)
        if known is None:
            raise self._patience.no_node(pool)
        with Passage(self._metrics, pool) as passage:
            return await self._run(
                known,
                model_id,
                lambda node, seconds: passage.call(node, lambda: call(node, seconds)),
                adapter=adapter,
                patience=patience,
            )

    async def _run(
        self, known: Pool, model_id: str, call: Call[Reply], *, adapter: str | None, patience: float | None
    ) -> Reply:
        loop = asyncio.get_running_loop()
        limit = self._request_timeout if patience is None else min(patience, self._request_timeout)
        deadline = loop.time() + limit
        node = known.choose(model_id, adapter) or await self._patience.wait(known, model_id, adapter, deadline)
        try:
            return await attempt(known, node, model_id, call, deadline, self._following)
        except (EngineGone, EngineOverloaded) as error:
            other = known.choose(model_id, adapter, node)
            if loop.time() >= deadline or (other is None and isinstance(error, (EngineOverloaded, UpstreamRefuses))):
                raise
        other = other or await self._patience.wait(known, model_id, adapter, deadline)
        try:
            return await attempt(known, other, model_id, call, deadline, self._following)
        except UpstreamRefuses:
            raise
        except EngineGone:
            raise self._patience.no_node(known.name) from None

    @asynccontextmanager
    async def streaming(
        self, pool: str, model_id: str, call: Call[Reply], *, patience: float | None = None
    ) -> AsyncIterator[Reply]:
        """As `run`, for a reply that goes on after it has begun: until the block ends it counts as being at its node.

        Once it has begun it is not tried again: half an answer has been given.
        """
        used: Node | None = None

        async def noting(node: Node, seconds: float) -> Reply:
            nonlocal used
            used = node
            return await call(node, seconds)

        reply = await self.run(pool, model_id, noting, patience=patience)
        known = self._pools.get(pool)
        if used is None or known is None:
            raise self._patience.no_node(pool)
        ticket, failed = known.begin(used, model_id), None
        try:
            yield reply
            failed = False
        except EngineGone as error:
            failed = True
            if not error.answered:
                self._following.broke_off(used, known, error.for_operators)
            raise
        finally:
            known.end(used, ticket, failed=failed)

    def _discover(self, pool: Pool, service: Service, client: NodeClient, resolve: Resolve) -> None:
        def have(url: str) -> Node:
            return self._have(pool, Member(url, url, client))

        self._discoveries.append(Discovery(service, pool, have=have, forget=self._drop, resolve=resolve))

    def _have(self, pool: Pool, member: Member) -> Node:
        node = Node(member.url, pool.name, member.client, member.name)
        pool.add(node)
        if self._running:
            self._following.begin(node, pool)
        return node

    def _drop(self, node: Node) -> None:
        self._following.end(node)
        self._pools[node.pool].remove(node)
