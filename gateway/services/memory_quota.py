"""Quota state in this process: exact for one gateway, gone when it ends."""

from collections.abc import Callable, Mapping, Sequence

from gateway.services.quota import Charge, Standings
from policies.quota import Decision, Limit, peek, refund, reserve

REMEMBERED_LEASES = 1000
"""Settled leases that are still recognised when their `reserve` or `settle` comes again."""


class MemoryQuotaStore:
    """A `QuotaStore`. Nothing in it awaits, so every call is atomic among the tasks of one event loop."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._states: dict[str, float] = {}
        self._leases: dict[str, tuple[Sequence[Charge], Decision]] = {}
        self._settled: dict[str, Decision] = {}

    async def reserve(self, lease: str, charges: Sequence[Charge]) -> Decision:
        """Charge all or none; a lease that is known gets its first answer."""
        if lease in self._leases:
            return self._leases[lease][1]
        if lease in self._settled:
            return self._settled[lease]
        decision = reserve(self._states, charges, self._clock())
        if decision.allowed:
            self._states.update(decision.changes)
            self._leases[lease] = charges, decision
        return decision

    async def settle(self, lease: str, used: Mapping[str, int]) -> Standings:
        """Turn what was reserved into what was used; a lease that is settled or unknown changes nothing."""
        charges, decision = self._leases.pop(lease, ((), None))
        if decision is None:
            return ()
        now = self._clock()
        for limit, cost in charges:
            key = limit.state_key
            self._states[key] = refund(self._states.get(key), limit, cost, used[limit.kind], now)
        self._remember(lease, decision, now)
        return self._standings([limit for limit, _ in charges], now)

    async def peek(self, limits: Sequence[Limit]) -> Standings:
        """How limits stand."""
        return self._standings(limits, self._clock())

    def _standings(self, limits: Sequence[Limit], now: float) -> Standings:
        return [(limit, peek(self._states.get(limit.state_key), limit, now)) for limit in limits]

    def _remember(self, lease: str, decision: Decision, now: float) -> None:
        self._settled[lease] = decision
        if len(self._settled) > REMEMBERED_LEASES:
            for old in list(self._settled)[: REMEMBERED_LEASES // 2]:
                del self._settled[old]
            for key in [key for key, tat in self._states.items() if tat <= now]:
                del self._states[key]
