"""Quota state in Redis: exact for any number of gateways, decided by one script on Redis's own clock.

All keys of a tenant bear the hash tag `{<tenant's id>}`, so that they live on one shard. Each operation is one call of
redis_store.lua, and the same call may come twice: leases make it count once. What Redis holds expires by itself. Run it
with `maxmemory-policy noeviction`: a state that is evicted is a limit that nobody has used.
"""

import hashlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

from gateway.redis_address import RedisAddress
from gateway.redis_client import RedisAway, RedisClient, RedisRefused
from gateway.services.quota.reserving import LEASE_SECONDS
from policies.quota import Charge, Decision, Kind, Limit, Moment, Standings, State, moment_of, peek, reserve, settle

SCRIPT = Path(__file__).with_name("redis_store.lua")
NO_USE: Mapping[Kind, int] = {}
Reply = tuple[bool, Moment, dict[str, State]]
"""Whether it was done, when, and the states of the charges by key."""


class Lease(NamedTuple):
    """What this gateway has asked for and not settled."""

    charges: Sequence[Charge]
    decision: Decision | None = None
    """None where Redis has not answered."""
    decided: float = 0.0
    """Second of this machine's monotonic clock at which the answer came."""


class RedisQuotaStore:
    """A `QuotaStore`. Raises RedisAway where Redis does not answer; what it was told may have been done or not.

    Then `reserve` may be asked again, or `settle` with no use: both are right either way.
    """

    def __init__(
        self,
        client: RedisClient,
        script: bytes,
        *,
        clock: Callable[[], float] | None = None,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        """`clock` takes the place of Redis's own, in tests only."""
        self._client = client
        self._script = script
        self._sha = hashlib.sha1(script, usedforsecurity=False).hexdigest()
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._leases: dict[str, Lease] = {}

    @classmethod
    def open(cls, url: str, timeout: float) -> "RedisQuotaStore":
        """Connects when it is first asked. Raises RedisAddressInvalid."""
        return cls(RedisClient(RedisAddress.parse(url), timeout), SCRIPT.read_bytes())

    async def close(self) -> None:
        """End the connection."""
        await self._client.close()

    async def reserve(self, lease: str, charges: Sequence[Charge]) -> Decision:
        """Charge all or none; a lease that is known gets its answer again."""
        if not charges:
            return reserve({}, (), moment_of(0.0))
        self._leases[lease] = Lease(charges)
        done, moment, states = await self._run("reserve", lease, self._lease_seconds, charges)
        if done:
            left = [(limit, states.get(limit.state_key)) for limit, _ in charges]
            decision = Decision(True, {}, None, None, (), moment, left)
            self._leases[lease] = Lease(charges, decision, monotonic())
            return decision
        del self._leases[lease]
        return reserve(states, charges, moment)._replace(allowed=False)

    async def settle(self, lease: str, used: Mapping[Kind, int]) -> Standings:
        """Turn what was reserved into what was used; a lease that is settled or unknown changes nothing."""
        return await self.send_settlement(lease, used) if lease in self._leases else ()

    def send_settlement(self, lease: str, used: Mapping[Kind, int]) -> Coroutine[Any, Any, Standings]:
        """Settle a lease that is held: as `settle`, but written when this is called, before the reply is awaited."""
        charges = self._leases[lease].charges
        reply = self._run("settle", lease, "", charges, used)
        return self._settled(lease, charges, reply)

    def foresee(self, lease: str, used: Mapping[Kind, int]) -> Standings:
        """How the limits stand once a lease that is held is settled, as far as the answer to its reservation tells.

        What others have reserved and settled since then is not in it. Empty where that answer never came.
        """
        charges, decision, decided = self._leases[lease]
        if decision is None:
            return ()
        now = moment_of(decision.moment.seconds + monotonic() - decided)
        states = {limit.state_key: state for limit, state in decision.left if state}
        states.update(settle(states, charges, used, decision.moment, now))
        return _standings(states, [limit for limit, _ in charges], now)

    async def seed(self, budgets: Mapping[Limit, int], month: int) -> None:
        """Raise what was spent of monthly limits to what the ledger knows; another month changes nothing."""
        for limit, used in budgets.items():
            await self._run("seed", "", month, [(limit, 0)], {limit.kind: used})

    async def peek(self, limits: Sequence[Limit]) -> Standings:
        """How limits stand."""
        if not limits:
            return ()
        _, moment, states = await self._run("peek", "", "", [(limit, 0) for limit in limits])
        return _standings(states, limits, moment)

    def holds(self, lease: str) -> bool:
        """Whether this gateway has asked for the lease and not settled it."""
        return lease in self._leases

    def forget(self, lease: str) -> None:
        """Give up settling a lease; Redis will reap it."""
        self._leases.pop(lease, None)

    async def _settled(self, lease: str, charges: Sequence[Charge], reply: Coroutine[Any, Any, Reply]) -> Standings:
        done, moment, states = await reply
        self._leases.pop(lease, None)
        return _standings(states, [limit for limit, _ in charges], moment) if done else ()

    def _run(
        self,
        operation: str,
        lease: str,
        parameter: float | str,
        charges: Sequence[Charge],
        used: Mapping[Kind, int] = NO_USE,
    ) -> Coroutine[Any, Any, Reply]:
        """Send it now where there is a connection; the reply is to be awaited."""
        prefix = f"shoal:{{{charges[0][0].tenant}}}:"
        keys = [f"{prefix}leases", f"{prefix}lease:{lease}"]
        words = [operation, repr(self._clock()) if self._clock else "", str(parameter)]
        for limit, cost in charges:
            keys.append(prefix + limit.state_key)
            words += (*_words(limit), str(cost), str(used.get(limit.kind, 0)))
        words = [str(len(keys)), *keys, *words]
        return self._reply(self._client.call("EVALSHA", self._sha, *words), words, charges)

    async def _reply(self, sent: Coroutine[Any, Any, Any], words: Sequence[str], charges: Sequence[Charge]) -> Reply:
        verdict, seconds, month, *texts = await self._evaluated(sent, words)
        states = {
            limit.state_key: State(*map(float, text.split()))
            for (limit, _), text in zip(charges, texts, strict=True)
            if text is not None
        }
        return verdict == 1, Moment(float(seconds), month), states

    async def _evaluated(self, sent: Coroutine[Any, Any, Any], words: Sequence[str]) -> Any:
        try:
            try:
                return await sent
            except RedisRefused as refusal:
                if refusal.code != "NOSCRIPT":
                    raise
                return await self._client.call("EVAL", self._script, *words)
        except RedisRefused as refusal:
            # such as READONLY of a master that was deposed: the address may lead to another one by now
            self._client.disconnect()
            raise RedisAway(f"Redis refuses: {refusal}") from refusal


@lru_cache(maxsize=4096)
def _words(limit: Limit) -> tuple[str, str, str]:
    return limit.kind, str(limit.amount), repr(limit.period)


def _standings(states: Mapping[str, State], limits: Sequence[Limit], moment: Moment) -> Standings:
    return [(limit, peek(states.get(limit.state_key), limit, moment)) for limit in limits]
