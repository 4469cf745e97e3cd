"""The table of cases (quota_cases.txt) against the rules alone and against the memory store."""

import asyncio

import pytest

from gateway.services.quota.memory_store import MemoryQuotaStore
from policies.quota import State, moment_of, peek, reserve, settle


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class RulesAlone:
    """policies/quota.py with a dictionary, nothing else."""

    def __init__(self, clock):
        self.clock = clock
        self.states = {}
        self.reserved = {}

    async def reserve(self, lease, charges):
        decision = reserve(self.states, charges, moment_of(self.clock()))
        self.states.update(decision.changes)
        if decision.allowed:
            self.reserved[lease] = charges, decision.moment
        return decision

    async def settle(self, lease, used):
        charges, since = self.reserved[lease]
        self.states.update(settle(self.states, charges, used, since, moment_of(self.clock())))

    async def seed(self, budgets, month):
        if month == moment_of(self.clock()).month:
            for limit, used in budgets.items():
                known = self.states.get(limit.state_key)
                before = known.spent if known is not None and known.at == month else 0
                self.states[limit.state_key] = State(max(used, before), month)

    async def peek(self, limits):
        return [(limit, peek(self.states.get(limit.state_key), limit, moment_of(self.clock()))) for limit in limits]


def test_the_rules_alone(quota_case, play_case):
    if quota_case.needs_leases:
        pytest.skip("the rules know no leases")
    clock = Clock()
    asyncio.run(play_case(quota_case, RulesAlone(clock), clock))


def test_the_memory_store(quota_case, play_case):
    clock = Clock()
    asyncio.run(play_case(quota_case, MemoryQuotaStore(clock), clock))
