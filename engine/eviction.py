"""Which models leave the memory so that another fits."""

from collections.abc import Collection, Hashable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Resident:
    """What eviction must know of a model in memory."""

    key: Hashable
    bytes: int
    last_used: float
    busy: bool = False
    pinned: bool = False


def plan_eviction(residents: Collection[Resident], needed: int, budget: int) -> tuple[Resident, ...] | None:
    """The models to evict so that `needed` more bytes fit: idle ones, least recently used first, none that could stay.

    None where evicting all that may go would not be enough.
    """
    free = budget - sum(resident.bytes for resident in residents)
    victims: list[Resident] = []
    for resident in sorted(residents, key=lambda resident: resident.last_used):
        if free >= needed:
            break
        if not resident.busy and not resident.pinned:
            victims.append(resident)
            free += resident.bytes
    if free < needed:
        return None
    for victim in reversed(victims[:]):
        if free - victim.bytes >= needed:
            victims.remove(victim)
            free -= victim.bytes
    return tuple(victims)
