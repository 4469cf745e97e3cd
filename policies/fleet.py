"""The nodes of one pool as routing sees them, kept up to date so that a choice need not look at all of them.

Whoever follows the nodes tells what each says of itself (`update`), who may be asked (`set_healthy`), who is gone
(`remove`), and every request that begins and ends at one (`begin`, `end`). `policies.routing` reads it.

A node's load is the requests there that are not finished: those that it spoke of last, of all gateways, and what this
gateway has sent and got back since. Its delay is how long a request would wait behind them.
"""

from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import blake2b
from heapq import nsmallest

PACE = 0.02
"""Seconds that a node takes for a request, as long as it has not said anything from which one could know."""

SHORTLIST = 16
"""Nodes that are remembered of a model's order; where none of them will do, all are looked at."""

_GOLDEN = 0x9E3779B97F4A7C15
_WORD = 2**64 - 1


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What a node said of itself in its last status."""

    url: str
    resident: frozenset[str] = frozenset()
    """Ids of the models on its device."""
    loading: frozenset[str] = frozenset()
    """Ids of the models on their way there."""
    restorable: frozenset[str] = frozenset()
    """Ids of models that left its device and come back by one copy, without their files."""
    adapters: frozenset[tuple[str, str]] = frozenset()
    """Low-rank adapters in its memory, each as (id of the model that it changes, the adapter)."""
    waiting_requests: int = 0
    """Not finished, of all gateways."""
    waiting_tokens: int = 0
    tokens_per_second: float = 0.0
    """Over its last batches; 0 before the first."""
    free_bytes: int = 0
    """Of device memory, that a further model could take without evicting one."""
    bytes: Mapping[str, int] = field(default_factory=dict)
    """Of device memory, that its models take, as far as it knows."""


@dataclass(slots=True, eq=False)
class FleetNode:
    """One node: what it said, and what this gateway knows beyond that."""

    facts: NodeFacts
    healthy: bool = True
    in_flight: int = 0
    """Requests of this gateway that are there now."""
    load: int = 0
    pace: float = PACE
    """Seconds that it takes for a request, as when some waited last."""
    free_bytes: int = 0
    """What it said, less what it will give to models since."""
    statuses: int = 0
    """How often it has said how it is."""
    promised: dict[str, int] = field(default_factory=dict)
    """Models that a request of this gateway makes it load, with `statuses` of that moment."""
    seed: int = field(init=False)

    def __post_init__(self) -> None:
        self.seed = _hash(self.facts.url)

    @property
    def delay(self) -> float:
        """Seconds that a request would wait there, about."""
        return self.load * self.pace

    @property
    def held(self) -> frozenset[str]:
        """Models that are on its device or soon will be."""
        return self.facts.resident | self.facts.loading | self.promised.keys()


Place = tuple[int, str, FleetNode]
"""A node's rank in a model's order, its URL, and itself."""


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
        start = _hash(model_id)
        return [((start ^ node.seed) * _GOLDEN & _WORD, url, node) for url, node in self.nodes.items()]

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


def rank(model_id: str, node: FleetNode) -> int:
    """The node's place in the model's order, by rendezvous hashing; the least is the first."""
    return (_hash(model_id) ^ node.seed) * _GOLDEN & _WORD


@lru_cache(maxsize=65536)
def _hash(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest())


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
