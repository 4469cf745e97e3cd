"""Which models leave the memory so that another fits."""

from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass

from engine.settings import Eviction


@dataclass(frozen=True, slots=True)
class Resident:
    """What eviction must know of a model in memory."""

    key: Hashable
    bytes: int
    last_used: float
    busy: bool = False
    pinned: bool = False
    uses: int = 1
    """Requests for it since it came."""
    reload_seconds: float = 0.0
    """What bringing it back would take."""
    credit: float = 0.0
    """The highest worth at which any model had been evicted when this one was last used."""
    activation: int = 0
    """Bytes that its batches take beside the weights."""


EvictionPolicy = Callable[[Resident], float]
"""What keeping a model is worth; the one of least worth leaves first."""


def least_recently_used(resident: Resident) -> float:
    """Worth is the time of the last use."""
    return resident.last_used


def greedy_dual_size_frequency(resident: Resident) -> float:
    """Worth is the time to bring it back, per byte and use; credit makes old uses count less (Cherkasova, 1998)."""
    return resident.credit + resident.uses * resident.reload_seconds / resident.bytes


POLICIES: Mapping[Eviction, EvictionPolicy] = {"lru": least_recently_used, "gdsf": greedy_dual_size_frequency}


def plan_eviction(
    residents: Collection[Resident],
    needed: int,
    budget: int,
    policy: EvictionPolicy = least_recently_used,
    *,
    activation: int = 0,
    total: int | None = None,
) -> tuple[Resident, ...] | None:
    """The models to evict so that `needed` more bytes fit: idle ones, of least worth first, none that could stay.

    All models together stay within `budget`; with the greatest activation of any of them, the newcomer's `activation`
    included, they stay within `total`. Models of equal worth leave in the order given. None where evicting all that
    may go would not be enough.
    """

    def fits(taken: int, gone: Collection[Resident]) -> bool:
        if taken > budget or total is None:
            return taken <= budget
        peaks = (resident.activation for resident in residents if resident not in gone)
        return taken + max(activation, *peaks, 0) <= total

    taken = needed + sum(resident.bytes for resident in residents)
    victims: list[Resident] = []
    for resident in sorted(residents, key=policy):
        if fits(taken, victims):
            break
        if not resident.busy and not resident.pinned:
            victims.append(resident)
            taken -= resident.bytes
    if not fits(taken, victims):
        return None
    for victim in reversed(victims[:]):
        spared = [other for other in victims if other is not victim]
        if fits(taken + victim.bytes, spared):
            victims = spared
            taken += victim.bytes
    return tuple(victims)
