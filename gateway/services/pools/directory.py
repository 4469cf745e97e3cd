"""The engine nodes of every pool: who is alive and holds what, and sending a request to the right one.

Each node is asked for its status all the time, more often while it is away. A request waits up to `pool_patience` for a
healthy node; one whose node breaks off is tried once more, elsewhere or on the same node when it has come back. Both
end in `Unavailable`, never in silence.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import structlog

from engine.protocol import PROTOCOL_VERSION, NodeStatus, Tier
from gateway.engine_client import EngineClient
from gateway.errors import EngineFailed, EngineGone, GatewayError, Unavailable
from policies.routing import NodeFacts, choose_node

ATTEMPTS = 2
STATUS_PATIENCE = 5.0
"""Seconds a node may take to say how it is."""
AWAY_INTERVAL = 0.2
"""Seconds between two looks at a node that is away."""
SILENT_LOOKS = 2
"""Looks in a row that were not answered in time, after which a node hangs: its requests are tried elsewhere."""

Reply = TypeVar("Reply")
Call = Callable[[str, float], Awaitable[Reply]]
"""Does the work on the node of this base URL, within so many seconds."""


@dataclass(slots=True, eq=False)
class Node:
    """One engine node as this gateway knows it."""

    url: str
    pool: str
    status: NodeStatus | None = None
    """As last heard; None before the first answer."""
    healthy: bool = False
    failure: str | None = "not asked yet"
    """Why it is not healthy."""
    resident: frozenset[str] = frozenset()
    """Models on its device or on their way there."""
    restorable: frozenset[str] = frozenset()
    """Models in its host memory."""
    adapters: frozenset[tuple[str, str]] = frozenset()
    """Adapters on its device or on their way there, each with the model that it changes."""
    unanswered: int = 0
    """Looks in a row that it took too long to answer."""
    calls: set[asyncio.Timeout] = field(default_factory=set)
    """One for each request of this gateway that is there now."""
    look: asyncio.Event = field(default_factory=asyncio.Event)
    """Set to have the status asked for at once."""

    @property
    def in_flight(self) -> int:
        """Requests of this gateway that are there now."""
        return len(self.calls)

    @property
    def facts(self) -> NodeFacts:
        """What routing must know."""
        waiting = self.status.waiting_tokens if self.status else 0
        return NodeFacts(self.url, self.healthy, self.resident, waiting, self.in_flight, self.restorable, self.adapters)


class NodeDirectory:
    """The nodes by pool. `start` begins to follow them, `close` ends it."""

    def __init__(
        self,
        engines: EngineClient,
        pools: Mapping[str, Sequence[str]],
        *,
        poll_interval: float,
        pool_patience: float,
        request_timeout: float,
        status_patience: float = STATUS_PATIENCE,
    ) -> None:
        self._engines = engines
        self._pools = {name: tuple(Node(url.rstrip("/"), name) for url in urls) for name, urls in pools.items()}
        self._by_url = {node.url: node for node in self.nodes}
        self._poll_interval = poll_interval
        self._pool_patience = pool_patience
        self._request_timeout = request_timeout
        self._status_patience = status_patience
        self._changed = asyncio.Event()
        self._followers: list[asyncio.Task[None]] = []
        self._log = structlog.get_logger("shoal.nodes")

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Every node of every pool."""
        return tuple(node for nodes in self._pools.values() for node in nodes)

    @property
    def pools(self) -> Mapping[str, tuple[Node, ...]]:
        """Nodes by the name of their pool."""
        return self._pools

    def start(self) -> None:
        """Begin to follow every node's status."""
        self._followers = [asyncio.create_task(self._follow(node)) for node in self.nodes]

    async def close(self) -> None:
        """Stop following."""
        for follower in self._followers:
            follower.cancel()
        await asyncio.gather(*self._followers, return_exceptions=True)

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
            node = self._pick(pool, model_id, adapter, failed) or await self._wait_for_node(
                pool, model_id, deadline - loop.time()
            )
            try:
                return await self._call(node, call, deadline - loop.time())
            except EngineGone as error:
                self._mark_away(node, error.message)
                failed = node
        raise self._unavailable(pool)

    async def _call(self, node: Node, call: Call[Reply], time_left: float) -> Reply:
        """Do `call` on the node; raises EngineGone where the node stops answering anybody meanwhile."""
        try:
            async with asyncio.timeout(None) as until_it_hangs:
                node.calls.add(until_it_hangs)
                return await call(node.url, time_left)
        except TimeoutError:
            raise EngineGone("The engine node does not answer; please try again.", retry_after=1.0) from None
        finally:
            node.calls.discard(until_it_hangs)

    def _pick(self, pool: str, model_id: str, adapter: str | None = None, failed: Node | None = None) -> Node | None:
        """A healthy node now, at best another one than that which just failed."""
        facts = [node.facts for node in self._pools.get(pool, ())]
        chosen = None
        if failed is not None:
            chosen = choose_node(facts, model_id, adapter=adapter, exclude=(failed.url,))
        chosen = chosen or choose_node(facts, model_id, adapter=adapter)
        return self._by_url[chosen.url] if chosen is not None else None

    async def _wait_for_node(self, pool: str, model_id: str, time_left: float) -> Node:
        if not self._pools.get(pool):
            raise self._unavailable(pool)
        try:
            async with asyncio.timeout(min(self._pool_patience, time_left)):
                while (node := self._pick(pool, model_id)) is None:
                    await self._changed.wait()
        except TimeoutError:
            raise self._unavailable(pool) from None
        return node

    def _unavailable(self, pool: str) -> Unavailable:
        return Unavailable(
            f"No engine node of the pool '{pool}' is available now, please try again later.",
            code="no_engine_node",
            retry_after=max(1.0, self._poll_interval),
        )

    async def _follow(self, node: Node) -> None:
        while True:
            await self._look_at(node)
            node.look.clear()
            try:
                async with asyncio.timeout(self._poll_interval if node.healthy else AWAY_INTERVAL):
                    await node.look.wait()
            except TimeoutError:
                continue

    async def _look_at(self, node: Node) -> None:
        try:
            status = await self._engines.status(node.url, self._status_patience)
        except GatewayError as error:
            self._mark_away(node, error.reason if isinstance(error, EngineFailed) else error.message)
            node.unanswered = node.unanswered + 1 if error.code == "engine_timeout" else 0
            if node.unanswered >= SILENT_LOOKS:
                for call in node.calls:
                    call.reschedule(asyncio.get_running_loop().time())
            return
        node.status, node.unanswered = status, 0
        node.resident = _models_in(status, "device", "loading")
        node.restorable = _models_in(status, "host")
        node.adapters = frozenset(
            (model.id, model.adapter)
            for model in status.models
            if model.adapter is not None and model.tier in ("device", "loading")
        )
        if status.protocol != PROTOCOL_VERSION:
            self._mark_away(node, f"speaks protocol {status.protocol}, this gateway {PROTOCOL_VERSION}")
        elif not status.ready:
            self._mark_away(node, "draining")
        elif not node.healthy:
            node.healthy, node.failure = True, None
            self._log.info("engine node is there", node=node.url, pool=node.pool)
            self._announce()

    def _mark_away(self, node: Node, reason: str) -> None:
        if node.healthy:
            self._log.warning("engine node is away", node=node.url, pool=node.pool, reason=reason)
        elif node.failure != reason:
            self._log.debug("engine node is not there", node=node.url, pool=node.pool, reason=reason)
        node.healthy, node.failure = False, reason
        node.look.set()

    def _announce(self) -> None:
        """Wake every request that waits for a node."""
        self._changed.set()
        self._changed = asyncio.Event()


def _models_in(status: NodeStatus, *tiers: Tier) -> frozenset[str]:
    return frozenset(model.id for model in status.models if model.adapter is None and model.tier in tiers)
