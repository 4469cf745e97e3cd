"""The nodes of one pool: which of them a request goes to, how they stand, and who waits for one."""

import asyncio
import random
from collections.abc import Iterator

from gateway.services.pools.node import Node
from policies.breaker import Ticket
from policies.fleet import Fleet
from policies.routing import choose_node

CLOCK_STEP = 0.01
"""Seconds by which timers may be early."""


class Pool:
    """A pool is there while it is configured, whether it has a node now or not.

    `alike`: every node serves every model, as a pool of upstream servers does.
    """

    def __init__(self, name: str, *, alike: bool = False) -> None:
        self.name = name
        self.alike = alike
        self.waiting = 0
        """Requests that wait for a node."""
        self.in_flight = 0
        """Requests of this gateway at its nodes, and at those that it has no more."""
        self.wanted = asyncio.Event()
        """Set while somebody waits for a node."""
        self._nodes: dict[str, Node] = {}
        self._fleet = Fleet(alike=alike)
        self._changed = asyncio.Event()
        self._draw = random.Random().random  # noqa: S311 (jitter)
        self._loop = asyncio.get_running_loop()

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes.values())

    def __len__(self) -> int:
        return len(self._nodes)

    def __contains__(self, name: str) -> bool:
        return name in self._nodes

    @property
    def healthy(self) -> int:
        """Nodes that take requests."""
        return self._fleet.healthy

    @property
    def refuses(self) -> bool:
        """Whether every node said that it does not accept this gateway: no wait helps."""
        return bool(self._nodes) and all(node.refuses for node in self)

    def add(self, node: Node) -> None:
        """Have a node; it takes requests from when it is healthy."""
        self._nodes[node.name] = node
        self._fleet.set_healthy(node.name, False)

    def remove(self, node: Node) -> None:
        """Choose a node no more; what it is doing goes on."""
        if self._has(node):
            del self._nodes[node.name]
            self._fleet.remove(node.name)
            node.healthy, node.failure = False, "not in the pool any more"

    def twin(self, node: Node) -> Node | None:
        """The node that this one is, under an address that comes before its own; it is not counted twice."""
        instance = node.status.instance if node.status else ""
        for other in self if instance else ():
            if other.name < node.name and other.health.well and other.status and other.status.instance == instance:
                return other
        return None

    def learn(self, node: Node) -> None:
        """Take in what a node said of itself last."""
        if self._has(node):
            self._fleet.update(node.facts())
            self.judge(node)

    def judge(self, node: Node) -> None:
        """Take in how a node stands by now; whoever waits for one is woken.

        An open circuit has requests go elsewhere; where there is no elsewhere it stops nobody.
        """
        if not self._has(node):
            return
        self._set(node, node.health.well and node.breaker.admits(self._loop.time()))
        if self._fleet.healthy == 0:
            for other in self:
                self._set(other, other.health.well)
        if self._fleet.healthy and self.waiting:
            self._changed.set()
            self._changed = asyncio.Event()

    def choose(self, model_id: str, adapter: str | None = None, failed: Node | None = None) -> Node | None:
        """A healthy node now, another one than that which just failed."""
        exclude = () if failed is None else (failed.name,)
        chosen = choose_node(self._fleet, model_id, now=self._loop.time(), adapter=adapter, exclude=exclude)
        return self._nodes[chosen.url] if chosen is not None else None

    async def wait_for_node(self, model_id: str, adapter: str | None, patience: float) -> Node | None:
        """A healthy node as soon as there is one; None if that is not within so many seconds."""
        self.waiting += 1
        self.wanted.set()
        try:
            async with asyncio.timeout(patience):
                while (node := self.choose(model_id, adapter)) is None:
                    await self._changed.wait()
                return node
        except TimeoutError:
            return None
        finally:
            self.waiting -= 1
            if not self.waiting:
                self.wanted.clear()

    def begin(self, node: Node, model_id: str) -> Ticket:
        """A request goes to the node; `end` it, however it ends, with this ticket."""
        self.in_flight += 1
        now = self._loop.time()
        self._fleet.begin(node.name, model_id, now)
        ticket = node.breaker.begin(now)
        if node.breaker.open_until is not None:
            self.judge(node)
        return ticket

    def end(self, node: Node, ticket: Ticket, *, failed: bool | None, served: str | None = None) -> None:
        """A request that went to the node is there no more; `failed` is None where that says nothing of the node."""
        self.in_flight -= 1
        if not self._has(node):
            return
        self._fleet.end(node.name, served)
        before = node.breaker.open_until
        node.breaker.end(ticket, failed, self._loop.time(), self._draw())
        until = node.breaker.open_until
        if before is not None or until is not None:
            self.judge(node)
        if until is not None and until != before:
            self._loop.call_at(until + CLOCK_STEP, self.judge, node)

    def _has(self, node: Node) -> bool:
        return self._nodes.get(node.name) is node

    def _set(self, node: Node, healthy: bool) -> None:
        node.healthy = healthy
        if healthy:
            node.failure = None
        elif node.health.well:
            node.failure = "too many calls failed there of late"
        self._fleet.set_healthy(node.name, healthy)
