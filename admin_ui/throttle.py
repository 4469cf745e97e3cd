"""How often somebody may try to sign in: a few times at once, then slowly; per operator name and per address.

A try counts before its password is looked at, so that trying in parallel gains nothing; the right password takes its
own try back. Memory is bounded: past `MOST_KEPT` the counts that were touched longest ago are forgotten.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

MOST_KEPT = 10_000
CHECKS_AT_ONCE = 2
"""Passwords looked at side by side: each takes a core for a fifth of a second, and 64 MiB."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many tries at once, and how long until one of them is free again."""

    burst: int
    seconds_each: float


PER_NAME = Allowance(burst=5, seconds_each=60.0)
PER_ADDRESS = Allowance(burst=20, seconds_each=15.0)


class SignInThrottle:
    """Counts tries. `clock` gives seconds that never run backwards. Passwords are looked at within `checking`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.checking = asyncio.Semaphore(CHECKS_AT_ONCE)
        self._clock = clock
        self._drained_at: OrderedDict[tuple[str, str], float] = OrderedDict()

    def admit(self, name: str, address: str) -> float:
        """Count one try. Returns 0, or the seconds to wait; a refused try does not count."""
        now = self._clock()
        wait = 0.0
        drained: dict[tuple[str, str], float] = {}
        for key, allowance in _keys(name, address):
            drained[key] = max(now, self._drained_at.get(key, now)) + allowance.seconds_each
            wait = max(wait, drained[key] - now - allowance.burst * allowance.seconds_each)
        if wait > 0:
            return wait
        for key, until in drained.items():
            self._drained_at[key] = until
            self._drained_at.move_to_end(key)
        while len(self._drained_at) > MOST_KEPT:
            self._drained_at.popitem(last=False)
        return 0.0

    def forgive(self, name: str, address: str) -> None:
        """Take one try back: its password was right."""
        for key, allowance in _keys(name, address):
            if key in self._drained_at:
                self._drained_at[key] -= allowance.seconds_each


def _keys(name: str, address: str) -> tuple[tuple[tuple[str, str], Allowance], ...]:
    return (("name", name[:100]), PER_NAME), (("address", _network(address)), PER_ADDRESS)


def _network(address: str) -> str:
    """An IPv6 customer has a /64 to choose addresses from, so it counts as one."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return parsed.exploded[:19] if isinstance(parsed, IPv6Address) else str(parsed)
