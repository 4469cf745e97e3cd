"""Which engine node serves a request: one that holds the model, the same ones while they are no busier than others.

Rendezvous hashing (Thaler and Ravishankar, 1998) gives every model its own order over the nodes, so a node that leaves
moves only the models that it served. Bounded load (Mirrokni et al., 2016) lets the next in order take what is above
`LOAD_BOUND` times the mean. So a model that is asked for less gathers on the first of its nodes, and the others evict
it in time; one whose nodes are all busy is given a node more. `benchmarks.fleet` has tried the numbers below.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Final, Literal, NamedTuple

from policies.fleet import Fleet, FleetNode, Place

LOAD_BOUND: Final = 1.25
"""How far above the mean load of the pool a node may be and still be chosen for its place in the order."""

BUSY: Final = 0.1
"""Seconds that a request would wait at every node which holds its model, above which one node more is worth a load."""

SWAMPED: Final = 0.3
"""The same, above which one node more is worth it even if another model has to leave there."""

FOLLOW: Final = 8
"""Requests of a gateway that follow the first one to a node that loads their model; more have one node more load it."""

SPREAD_INTERVAL: Final = 0.25
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
    follow the one that set it in motion, unless too many do.
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
        return _first_below(FOLLOW, holders, "loading") or _beyond(fleet, model_id, holders, holders, now, exclude)
    restorers, shortlist = _able(fleet.restorers(model_id), exclude), _able(fleet.shortlist(model_id), exclude)
    return (
        _first_below(bound, restorers, "restored")
        or _first_below(bound, _with_room(fleet, model_id, shortlist), "cold")
        or _first_in_time(restorers)
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
) -> Choice:
    """Where all nodes that are ready have their share: the one with least to do, or one node more if that is busy.

    Where none is ready, those on their way stand for them.
    """
    how: How = "resident" if model_id in ready[0][2].facts.resident else "loading"
    least = min(ready, key=_load)
    chosen = Choice(least[1], how)
    if least[2].delay <= BUSY:
        return chosen
    pause = now - fleet.moved_at.get(model_id, float("-inf"))
    if len(holders) < 2 * len(ready) + (how == "loading") and pause * len(ready) >= SPREAD_INTERVAL:
        known = {url for _, url, _ in holders}.union(exclude)
        if one_more := _one_more(fleet, model_id, least[2], known):
            return one_more
    coming = [place for place in holders if model_id not in place[2].facts.resident]
    return _first_below(least[2].load, coming, "loading") or chosen


def _one_more(fleet: Fleet, model_id: str, least: FleetNode, exclude: Collection[str]) -> Choice | None:
    """The next node in order with half as much to do as the least busy one that has the model, and with room for it.

    Where that is not enough by far, one on which something else has to leave for it.
    """
    bound = least.load / 2
    shortlist = _able(fleet.shortlist(model_id), exclude)
    found = _first_below(bound, _with_room(fleet, model_id, shortlist), "spread")
    if found is None and least.delay > SWAMPED:
        found = _first_below(bound, shortlist, "spread")
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
    return Choice(min(places, key=_load)[1], how) if places else None


def _first_in_time(restorers: Iterable[Place]) -> Choice | None:
    """A copy in host memory is worth some waiting where a load from disk would take another model's room."""
    return next((Choice(url, "restored") for _, url, node in restorers if node.delay <= SWAMPED), None)


def _load(place: Place) -> tuple[int, int]:
    """Of those alike, the first in the model's order comes first."""
    return place[2].load, place[0]
