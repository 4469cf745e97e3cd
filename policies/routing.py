"""Which engine node serves a request: one that holds the model, the same ones while they are no busier than others.

Rendezvous hashing (Thaler and Ravishankar, 1998) gives every model its own order over the nodes, so a node that leaves
moves only the models that it served. Bounded load (Mirrokni et al., 2016) lets the next in order take what is above
`LOAD_BOUND` times the mean, so a hot model spreads and a cool one gathers on the first of its order.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Literal, NamedTuple

from policies.fleet import Fleet, Place

LOAD_BOUND = 1.25
"""How far above the mean load of the pool a node may be and still be chosen for its place in the order."""

FREE = 8.0
"""Load below which a node counts as free however idle the others are: it is served sooner than a model is loaded."""

SPREAD_INTERVAL = 5.0
"""Seconds between two nodes more for a model that one node holds; less as more hold it, so that it grows by a share.
A burst does not flood the fleet with loads, and a hot model still has a hundred nodes within half a minute."""

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
    seconds. Pure: the same fleet gives the same choice.
    """
    bound = max(FREE, LOAD_BOUND * fleet.mean_load)
    if fleet.alike:
        return _least_loaded(_able(fleet.everyone(model_id), exclude), "resident")
    if adapter is None and (first := _first_ready(fleet, model_id, bound, exclude)) is not None:
        return first
    holders = _able(fleet.holders(model_id), exclude)
    if ready := [place for place in holders if model_id in place[2].facts.resident]:
        if adapter is not None:
            ready = [place for place in ready if (model_id, adapter) in place[2].facts.adapters] or ready
        return (
            _first_below(bound, ready, "resident")
            or _one_more(fleet, model_id, holders, now, exclude)
            or _least_loaded(ready, "resident")
        )
    if holders:
        return Choice(holders[0][1], "loading")
    return (
        _first_below(bound, _able(fleet.restorers(model_id), exclude), "restored")
        or _first_below(bound, _able(fleet.shortlist(model_id), exclude), "cold")
        or _least_loaded(_able(fleet.everyone(model_id), exclude), "cold")
    )


def _first_ready(fleet: Fleet, model_id: str, bound: float, exclude: Collection[str]) -> Choice | None:
    """What most choices come to, found without a look at every holder: a thousand may hold a pinned model."""
    for _, url, node in fleet.holders(model_id):
        if node.load < bound and node.healthy and model_id in node.facts.resident and url not in exclude:
            return Choice(url, "resident")
    return None


def _one_more(
    fleet: Fleet, model_id: str, holders: Sequence[Place], now: float, exclude: Collection[str]
) -> Choice | None:
    """The next node for a model whose holders are all busy.

    None where it got one just now, or where nobody has half as much to do as the least busy of them.
    """
    if (now - fleet.moved_at.get(model_id, float("-inf"))) * len(holders) < SPREAD_INTERVAL:
        return None
    bound = min(_load(place) for place in holders if model_id in place[2].facts.resident) / 2
    known = {url for _, url, _ in holders}.union(exclude)
    found = _first_below(bound, _able(fleet.shortlist(model_id), known), "spread")
    if found is None and fleet.mean_load < bound:
        found = _first_below(bound, sorted(_able(fleet.everyone(model_id), known)), "spread")
    return found


def _able(places: Iterable[Place], exclude: Collection[str]) -> list[Place]:
    return [place for place in places if place[2].healthy and place[1] not in exclude]


def _first_below(bound: float, places: Iterable[Place], how: How) -> Choice | None:
    return next((Choice(url, how) for _, url, node in places if node.load < bound), None)


def _least_loaded(places: Sequence[Place], how: How) -> Choice | None:
    """The first of its kind in the model's order."""
    if not places:
        return None
    return Choice(min(places, key=lambda place: (place[2].load, place[0]))[1], how)


def _load(place: Place) -> float:
    return place[2].load
