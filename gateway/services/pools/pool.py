"""The nodes of one pool: which of them a request goes to, and who waits for one."""

import asyncio
from collections.abc import Iterator

from gateway.services.pools.node import Node
from policies.routing import choose_node


class Pool:
    """A pool is there while it is configured, whether it has a node now or not."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.waiting = 0
        """Requests that wait for a node."""
        self._nodes: dict[str, Node] = {}
        self._leaving: list[Node] = []
        self._changed = asyncio.Event()

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes.values())

    def __len__(self) -> int:
        return len(self._nodes)

    def __contains__(self, name: str) -> bool:
        return name in self._nodes

    @property
    def in_flight(self) -> int:
        """Requests of this gateway at its nodes, those included that the pool has no more."""
        self._leaving = [node for node in self._leaving if node.calls]
        return sum(node.in_flight for node in (*self, *self._leaving))

    @property
    def demand(self) -> int:
        """Requests that wait for a node, and requests at nodes."""
        return self.waiting + self.in_flight

    @property
    def healthy(self) -> int:
        """Nodes that take requests."""
        return sum(node.healthy for node in self)

    def add(self, node: Node) -> None:
        """Have a node; it takes requests from when it is healthy."""
        self._nodes[node.name] = node

    def remove(self, name: str) -> Node:
        """Choose a node no more; what it is doing goes on."""
        node = self._nodes.pop(name)
        self._leaving.append(node)
        return node

    def choose(self, model_id: str, adapter: str | None = None, failed: Node | None = None) -> Node | None:
        """A healthy node now, at best another one than that which just failed."""
        facts = [node.facts for node in self]
        chosen = None
        if failed is not None:
            chosen = choose_node(facts, model_id, adapter=adapter, exclude=(failed.name,))
        chosen = chosen or choose_node(facts, model_id, adapter=adapter)
        return self._nodes[chosen.url] if chosen is not None else None

    async def wait_for_node(self, model_id: str, adapter: str | None, patience: float) -> Node | None:
        """The same as soon as there is one; None if that is not within so many seconds."""
        self.waiting += 1
        try:
            async with asyncio.timeout(patience):
                while (node := self.choose(model_id, adapter)) is None:
                    await self._changed.wait()
                return node
        except TimeoutError:
            return None
        finally:
            self.waiting -= 1

    def announce(self) -> None:
        """Wake every request that waits for a node."""
        self._changed.set()
        self._changed = asyncio.Event()
