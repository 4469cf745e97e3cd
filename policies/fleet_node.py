"""One node as routing sees it, and its place in the order that every model has over the nodes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b

PACE = 0.02
"""Seconds that a node takes for a request, as long as it has not said anything from which one could know."""

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


def rank(model_id: str, node: FleetNode) -> int:
    """The node's place in the model's order, by rendezvous hashing; the least is the first."""
    return (_hash(model_id) ^ node.seed) * _GOLDEN & _WORD


def ranks(model_id: str, nodes: Iterable[FleetNode]) -> list[Place]:
    """The places of many nodes, in no order."""
    start = _hash(model_id)
    return [((start ^ node.seed) * _GOLDEN & _WORD, node.facts.url, node) for node in nodes]


@lru_cache(maxsize=65536)
def _hash(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest())
