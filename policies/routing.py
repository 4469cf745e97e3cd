"""Which engine node serves a request: one that holds the model, always the same one while it is no busier than others.

Rendezvous hashing (Thaler and Ravishankar, 1998) gives every model its own order over the nodes, so a node that leaves
moves only the models that it served. Bounded load (Mirrokni et al., 2016) lets the next in order take what is above
`LOAD_BOUND` times the mean, so a hot model spreads and a cool one settles.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from math import ceil

LOAD_BOUND = 1.25
"""How far above the mean load a node may be and still be chosen for its place in the order."""

BACKLOG = 8192
"""Waiting tokens below which a node counts as free: they are served sooner than another node could load a model."""


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What is known of an engine node when a request comes."""

    url: str
    healthy: bool
    resident: frozenset[str]
    """Ids of the models in its memory or on their way into it."""
    waiting_tokens: int
    """As of its last status."""
    in_flight: int
    """Requests that this gateway has there now."""
    restorable: frozenset[str] = frozenset()
    """Ids of models that left its device and come back by one copy, without their files."""
    adapters: frozenset[tuple[str, str]] = frozenset()
    """Low-rank adapters in its memory, each with the id of the model that it changes."""


def choose_node(
    nodes: Sequence[NodeFacts], model_id: str, *, adapter: str | None = None, exclude: Collection[str] = ()
) -> NodeFacts | None:
    """The node for one request, or None where no healthy one is left beside the excluded URLs.

    Among free nodes that hold the model, or else that can restore it, requests in flight are bounded. Where no such
    node is free, the first free node in the model's order will load it: bounded by waiting tokens alone, so that the
    requests that come while it loads follow the first one there. Among nodes that hold the model those are preferred
    that hold the request's adapter too.
    """
    healthy = [node for node in nodes if node.healthy and node.url not in exclude]
    if not healthy:
        return None
    backlog = max(BACKLOG, LOAD_BOUND * sum(node.waiting_tokens for node in healthy) / len(healthy))
    free = [node for node in healthy if node.waiting_tokens <= backlog]
    holding = [node for node in free if model_id in node.resident]
    holding = [node for node in holding if (model_id, adapter) in node.adapters] or holding
    holding = holding or [node for node in free if model_id in node.restorable]
    if holding:
        bound = ceil(LOAD_BOUND * (sum(node.in_flight for node in holding) + 1) / len(holding))
        free = [node for node in holding if node.in_flight < bound]
    return max(free, key=lambda node: _affinity(model_id, node.url))


@lru_cache(maxsize=65536)
def _affinity(model_id: str, url: str) -> tuple[bytes, str]:
    return blake2b(f"{model_id}\n{url}".encode(), digest_size=8).digest(), url
