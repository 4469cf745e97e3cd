"""Quota state in this process: exact for one gateway, gone when it ends."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from gateway.services.quota.reserving import LEASE_SECONDS
from policies.quota import (
    Charge,
    Decision,
    Kind,
    Limit,
    Moment,
    Standings,
    State,
    moment_of,
    peek,
    reap,
    reserve,
    settle,
    spent_of,
)

REMEMBERED_LEASES = 1000
"""Settled leases that are still recognised when their `reserve` or `settle` comes again."""


class Lease(NamedTuple):
    """A reservation that is not settled."""

    charges: Sequence[Charge]
    decision: Decision
    since: float
    """Seconds of the clock from which its time is counted."""


class MemoryQuotaStore:
    """A `QuotaStore`. Nothing in it awaits, so every call is atomic among the tasks of one event loop."""

    def __init__(self, clock: Callable[[], float] = time.time, lease_seconds: float = LEASE_SECONDS) -> None:
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._states: dict[str, State] = {}
        self._leases: dict[str, Lease] = {}
        self._settled: dict[str, Decision] = {}
        self._seen: dict[str, Limit] = {}
        self._sweep_at = REMEMBERED_LEASES

    async def reserve(self, lease: str, charges: Sequence[Charge]) -> Decision:
        """Charge all or none; a lease that is known gets its first answer."""
        if lease in self._leases:
            return self._leases[lease].decision
        if lease in self._settled:
            return self._settled[lease]
        now = moment_of(self._clock())
        self._reap(now)
        decision = reserve(self._states, charges, now)
        self._states.update(decision.changes)
        if decision.allowed:
            self._leases[lease] = Lease(charges, decision, now.seconds)
        return decision

    async def settle(self, lease: str, used: Mapping[Kind, int]) -> Standings:
        """Turn what was reserved into what was used; a lease that is settled or unknown changes nothing."""
        known = self._leases.pop(lease, None)
        if known is None:
            return ()
        now = moment_of(self._clock())
        self._states.update(settle(self._states, known.charges, used, known.decision.moment, now))
        self._remember(lease, known.decision, now)
        return self._standings([limit for limit, _ in known.charges], now)

    async def seed(self, budgets: Mapping[Limit, int], month: int) -> None:
        """Raise what was spent of monthly limits to what the ledger knows; another month changes nothing."""
        if month != moment_of(self._clock()).month:
            return
        for limit, used in budgets.items():
            state = self._states.get(limit.state_key)
            if state is None or state.at != month or state.spent < used:
                self._states[limit.state_key] = State(used, month)

    async def peek(self, limits: Sequence[Limit]) -> Standings:
        """How limits stand."""
        return self._standings(limits, moment_of(self._clock()))

    def _standings(self, limits: Sequence[Limit], now: Moment) -> Standings:
        return [(limit, peek(self._states.get(limit.state_key), limit, now)) for limit in limits]

    def _reap(self, now: Moment) -> None:
        """End leases that nobody settled in time; the oldest come first."""
        while self._leases:
            lease, known = next(iter(self._leases.items()))
            age = now.seconds - known.since
            if 0 <= age <= self._lease_seconds:
                return
            del self._leases[lease]
            if age < 0:  # the clock jumped back: its time begins again
                self._leases[lease] = known._replace(since=now.seconds)
            else:
                self._states.update(reap(self._states, known.charges, known.decision.moment, now))
                self._remember(lease, known.decision, now)

    def _remember(self, lease: str, decision: Decision, now: Moment) -> None:
        self._settled[lease] = decision
        if len(self._settled) <= REMEMBERED_LEASES:
            return
        for old in list(self._settled)[: REMEMBERED_LEASES // 2]:
            self._seen.update({limit.state_key: limit for limit, _ in self._settled.pop(old).left})
        if len(self._seen) >= self._sweep_at:
            self._sweep(now)

    def _sweep(self, now: Moment) -> None:
        """Drop what is as good as missing. It goes through all limits, so it waits until there are twice as many."""
        for key, limit in list(self._seen.items()):
            state = self._states.get(key)
            budget = limit.kind == "tokens_per_month" and state is not None and state.at >= now.month
            if not budget and not spent_of(state, limit, now):
                self._states.pop(key, None)
                del self._seen[key]
        self._sweep_at = 2 * len(self._seen) + REMEMBERED_LEASES
