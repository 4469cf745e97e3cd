"""Which engine node serves a request: one that holds the model, the same ones while they are no busier than others.

Rendezvous hashing (Thaler and Ravishankar, 1998) gives every model its own order over the nodes, so a node that leaves
moves only the models that it served. Bounded load (Mirrokni et al., 2016) lets the next in order take what is above
`LOAD_BOUND` times the mean. So a model that is asked for less gathers on the first of its nodes, and the others evict
it in time; one whose nodes are all busy is given a node more. `benchmarks.fleet` has tried the numbers below.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Final, Literal, NamedTuple

from policies.fleet import Fleet, Place

LOAD_BOUND: Final = 1.25
"""How far above the mean load of the pool a node may be and still be chosen for its place in the order."""

BUSY: Final = 0.3
"""Seconds that a request would wait at every node which holds its model, above which one node more is worth a load."""

SPREAD_INTERVAL: Final = 1.0
"""Seconds between two nodes more for a model that one node holds, and less as more hold it: so a model grows by a share
of what it has, a burst does not flood the fleet with loads, and a hot model has a hundred nodes within seconds."""

LOOK: Final = 64
"""Nodes that are looked at, at most, of those that hold one model: a thousand may hold a pinned one."""

How = Literal["resident", "loading", "restored", "cold", "spread"]
"""What the chosen node will do: it has the model; it is on its way; it comes back from host memory; it is loaded; it is
loaded although others have it, since they are busy."""


class Choice(NamedTuple):
    """Where a request goes, and how the model is there."""

    url: str
    how: How


def choose_node(
    fleet: Fleet, model_id: str, *, now: float, adapter: str | None = None, exclude: Collection[str] = ()
) -> Choice | None:
    """The node for one request, or None where no healthy one is left beside the excluded URLs.

    The caller tells the fleet when the request begins and ends there; `now` is the clock that `begin` is given, in
    seconds. Pure: the same fleet gives the same choice. Requests for a model that is on its way to its first node
    follow the one that set it in motion.
    """
    if fleet.alike:
        return _least_loaded(_able(fleet.everyone(model_id), exclude), "resident")
    bound = max(1.0, LOAD_BOUND * fleet.mean_load)
    if adapter is None and (first := _first_ready(fleet, model_id, bound, exclude)) is not None:
        return first
    holders = _holders(fleet, model_id, exclude)
    if ready := [place for place in holders if model_id in place[2].facts.resident]:
        if adapter is not None:
            ready = [place for place in ready if (model_id, adapter) in place[2].facts.adapters] or ready
        return _first_below(bound, ready, "resident") or _beyond(fleet, model_id, ready, holders, now, exclude)
    if holders:
        return Choice(holders[0][1], "loading")
    shortlist = _able(fleet.shortlist(model_id), exclude)
    return (
        _first_below(bound, _able(fleet.restorers(model_id), exclude), "restored")
        or _first_below(bound, _with_room(fleet, model_id, shortlist), "cold")
        or _first_below(bound, shortlist, "cold")
        or _least_loaded(_able(fleet.everyone(model_id), exclude), "cold")
    )


def _first_ready(fleet: Fleet, model_id: str, bound: float, exclude: Collection[str]) -> Choice | None:
    """What most choices come to, with nothing made on the way."""
    for _, url, node in fleet.holders(model_id)[:LOOK]:
        if node.load < bound and node.healthy and model_id in node.facts.resident and url not in exclude:
            return Choice(url, "resident")
    return None


def _holders(fleet: Fleet, model_id: str, exclude: Collection[str]) -> list[Place]:
    """Those that may be asked; of many, other ones with every request, so that none of them is forgotten."""
    holders = fleet.holders(model_id)
    if len(holders) <= LOOK:
        return _able(holders, exclude)
    start = fleet.begun * LOOK % len(holders)
    some = [*holders[start : start + LOOK], *holders[: max(0, start + LOOK - len(holders))]]
    return _able(some, exclude) or _able(holders, exclude)


def _beyond(
    fleet: Fleet,
    model_id: str,
    ready: Sequence[Place],
    holders: Sequence[Place],
    now: float,
    exclude: Collection[str],
) -> Choice | None:
    """Where all nodes that are ready have their share: the one with least to do, or one node more if that is busy."""
    least = _least_loaded(ready, "resident")
    coming = [place for place in holders if model_id not in place[2].facts.resident]
    if least is None or fleet.nodes[least.url].delay <= BUSY:
        return least
    load = fleet.nodes[least.url].load
    pause = now - fleet.moved_at.get(model_id, float("-inf"))
    if len(coming) < len(ready) and pause * len(ready) >= SPREAD_INTERVAL:
        known = {url for _, url, _ in holders}.union(exclude)
        if one_more := _one_more(fleet, model_id, load / 2, known):
            return one_more
    return _first_below(load, coming, "loading") or least


def _one_more(fleet: Fleet, model_id: str, bound: float, exclude: Collection[str]) -> Choice | None:
    """The next node in order with less to do than `bound`, at best one with room for the model."""
    shortlist = _able(fleet.shortlist(model_id), exclude)
    found = _first_below(bound, _with_room(fleet, model_id, shortlist), "spread")
    found = found or _first_below(bound, shortlist, "spread")
    if found is None and fleet.mean_load < bound:
        found = _first_below(bound, sorted(_able(fleet.everyone(model_id), exclude)), "spread")
    return found


def _able(places: Iterable[Place], exclude: Collection[str]) -> list[Place]:
    return [place for place in places if place[2].healthy and place[1] not in exclude]


def _with_room(fleet: Fleet, model_id: str, places: Iterable[Place]) -> Iterable[Place]:
    needed = fleet.bytes(model_id)
    return (place for place in places if place[2].free_bytes >= needed)


def _first_below(bound: float, places: Iterable[Place], how: How) -> Choice | None:
    for _, url, node in places:
        if node.load < bound:
            return Choice(url, how)
    return None


def _least_loaded(places: Sequence[Place], how: How) -> Choice | None:
    """Of those alike, the first in the model's order."""
    if not places:
        return None
    return Choice(min(places, key=lambda place: (place[2].load, place[0]))[1], how)
