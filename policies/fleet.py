"""The nodes of one pool as routing sees them, kept up to date so that a choice need not look at all of them.

Whoever follows the nodes tells what each says of itself (`update`), who may be asked (`set_healthy`), who is gone
(`remove`), and every request that begins and ends at one (`begin`, `end`). `policies.routing` reads it.

A node's load is the requests there that are not finished: those that it spoke of last, of all gateways, and what this
gateway has sent and got back since. Its delay is how long a request would wait behind them.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import replace
from heapq import nsmallest

from policies.fleet_node import FleetNode, NodeFacts, Place, rank, ranks

__all__ = ["Fleet", "FleetNode", "NodeFacts", "Place", "rank"]

SHORTLIST = 16
"""Nodes that are remembered of a model's order; where none of them will do, all are looked at."""


class Fleet:
    """The nodes of one pool: plain data, no clock, no I/O.

    `alike`: every node serves every model (a pool of upstream servers), so that only load decides.
    """

    def __init__(self, *, alike: bool = False) -> None:
        self.alike = alike
        self.nodes: dict[str, FleetNode] = {}
        self.begun = 0
        """Requests that were sent to a node."""
        self.moves = 0
        """Models that a request was sent for to a node that did not have them."""
        self.moved_at: dict[str, float] = {}
        """When a model was last brought to one node more."""
        self._holders: dict[str, list[Place]] = {}
        self._restorers: dict[str, list[Place]] = {}
        self._shortlists: dict[str, list[Place]] = {}
        self._bytes: dict[str, int] = {}
        self._healthy = 0
        self._load = 0

    @property
    def healthy(self) -> int:
        """Nodes that may be asked."""
        return self._healthy

    @property
    def mean_load(self) -> float:
        """Of the healthy nodes."""
        return self._load / self._healthy if self._healthy else 0.0

    def update(self, facts: NodeFacts) -> None:
        """A node said how it is. One that was not known is healthy from now on."""
        node = self.nodes.get(facts.url)
        if node is None:
            node = self.nodes[facts.url] = FleetNode(NodeFacts(facts.url))
            self._healthy += 1
            self._shortlists.clear()
        node.statuses += 1
        held, restorable = node.held, node.facts.restorable
        node.facts = facts
        if node.promised:
            self._keep_promises(node)
        _amend(self._holders, node, held, node.held)
        _amend(self._restorers, node, restorable, facts.restorable)
        self._bytes.update(facts.bytes)
        node.free_bytes = facts.free_bytes
        if facts.waiting_requests and facts.tokens_per_second:
            node.pace = facts.waiting_tokens / facts.tokens_per_second / facts.waiting_requests
        self._set_load(node, max(facts.waiting_requests, node.in_flight))

    def set_healthy(self, url: str, healthy: bool) -> None:
        """Whether a node may be asked. One that was not known is known from now on."""
        if url not in self.nodes:
            self.update(NodeFacts(url))
        node = self.nodes[url]
        if node.healthy != healthy:
            sign = 1 if healthy else -1
            self._healthy += sign
            self._load += sign * node.load
            node.healthy = healthy

    def remove(self, url: str) -> None:
        """A node does not belong to the pool any more."""
        if url in self.nodes:
            self.set_healthy(url, False)
            node = self.nodes.pop(url)
            _amend(self._holders, node, node.held, frozenset())
            _amend(self._restorers, node, node.facts.restorable, frozenset())
            self._shortlists.clear()

    def begin(self, url: str, model_id: str, now: float) -> None:
        """A request for the model is sent to the node; where it is not there, it will be brought there."""
        node = self.nodes.get(url)
        if node is None:
            return
        self.begun += 1
        node.in_flight += 1
        self._set_load(node, node.load + 1)
        if self.alike or model_id in node.facts.resident or model_id in node.facts.loading or model_id in node.promised:
            return
        self.moves += 1
        self.moved_at[model_id] = now
        node.free_bytes -= self.bytes(model_id)
        node.promised[model_id] = node.statuses
        _amend(self._holders, node, frozenset(), frozenset((model_id,)))

    def end(self, url: str, served: str | None = None) -> None:
        """A request that began there has its answer, or will never have one; `served` is the model that answered it."""
        node = self.nodes.get(url)
        if node is None:
            return
        if node.in_flight:
            node.in_flight -= 1
            self._set_load(node, max(node.load - 1, node.in_flight))
        if served is not None and served in node.promised:
            del node.promised[served]
            node.facts = replace(node.facts, resident=node.facts.resident | {served})

    def bytes(self, model_id: str) -> int:
        """Of device memory, that the model takes; 0 where no node has said."""
        return self._bytes.get(model_id, 0)

    def holders(self, model_id: str) -> Sequence[Place]:
        """Who has the model on the device or soon will, in the model's order."""
        return self._holders.get(model_id, ())

    def restorers(self, model_id: str) -> Sequence[Place]:
        """Who could restore the model without its files, in the model's order."""
        return self._restorers.get(model_id, ())

    def shortlist(self, model_id: str) -> Sequence[Place]:
        """The first nodes of the model's own order, which is the same at every gateway."""
        found = self._shortlists.get(model_id)
        if found is None:
            found = self._shortlists[model_id] = nsmallest(SHORTLIST, self.everyone(model_id))
        return found

    def everyone(self, model_id: str) -> list[Place]:
        """All nodes with their ranks, in no order. This looks at every node."""
        return ranks(model_id, self.nodes.values())

    def _keep_promises(self, node: FleetNode) -> None:
        """A promise ends when the node has the model, or has said twice since that it has not."""
        here = node.facts.resident | node.facts.loading
        node.promised = {
            model: since for model, since in node.promised.items() if model not in here and node.statuses < since + 2
        }

    def _set_load(self, node: FleetNode, load: int) -> None:
        if node.healthy:
            self._load += load - node.load
        node.load = load


def _amend(index: dict[str, list[Place]], node: FleetNode, before: frozenset[str], after: frozenset[str]) -> None:
    """Bring the node's places in an index from one set of models to another."""
    if before == after:
        return
    url = node.facts.url
    for model in before - after:
        found = index[model]
        del found[bisect_left(found, (rank(model, node), url))]
        if not found:
            del index[model]
    for model in after - before:
        insort(index.setdefault(model, []), (rank(model, node), url, node))
