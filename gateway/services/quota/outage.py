"""What becomes of requests while the quota store is away: `deny` or `allow`, counted, visible, and over by itself.

A store that is slow is worse than one that is dead, so its first failure opens the circuit: nobody waits for it again
until a probe has gone through it from end to end. Nobody waits for settlements either: they go out before the answer
does, and what comes back is looked at afterwards. Those that could not be made are kept and made later; a lease counts
once however often it is settled, and one that is never settled is reaped by the store.
"""

import asyncio
from collections.abc import Awaitable, Coroutine, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple, Protocol

import structlog

from gateway.errors import Unavailable
from gateway.observability import GatewayMetrics
from gateway.services.periodic import Periodic
from gateway.services.quota.reserving import LEASE_SECONDS, NOTHING, QuotaStore
from gateway.settings import QuotaOutage
from policies.quota import Charge, Decision, Kind, Limit, Standings, moment_of, reserve

RETRY_AFTER = 1.0
"""Seconds after which a denied client may ask again."""
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0
"""Seconds between two probes; every pause is twice the one before."""
WATCH_INTERVAL = 1.0
"""Seconds between two looks at a store that was there."""
MOST_UNSETTLED = 100_000
"""Settlements that are kept; beyond, the oldest leases are left to the store's reaping."""
SETTLED_AT_ONCE = 256
CLOSE_PATIENCE = 1.0
PROBE = Limit("probe", "requests", 1_000_000, tenant="probe")

log = structlog.get_logger("shoal.quota")


class RemoteStore(QuotaStore, Protocol):
    """A store that may be away: then it raises ConnectionError."""

    def holds(self, lease: str) -> bool:
        """Whether the lease may exist and is to be settled."""
        ...

    def forget(self, lease: str) -> None:
        """Give up settling a lease."""
        ...

    def send_settlement(self, lease: str, used: Mapping[Kind, int]) -> Coroutine[Any, Any, Standings]:
        """Settle a lease that is held, sent now; the reply is to be awaited."""
        ...

    def foresee(self, lease: str, used: Mapping[Kind, int]) -> Standings:
        """How the limits stand once a lease that is held is settled, as far as its reservation tells."""
        ...

    async def close(self) -> None:
        """Let go of the store."""
        ...


class Unsettled(NamedTuple):
    """A settlement that is still to be made."""

    used: Mapping[Kind, int]
    until: float
    """Second of the loop's clock at which the lease has ended by itself."""


class GuardedQuotaStore:
    """A `QuotaStore` around one that may be away."""

    def __init__(self, store: RemoteStore, rule: QuotaOutage, metrics: GatewayMetrics) -> None:
        """Looks for the store at once, in the background."""
        self.up = True
        """Whether the store decides; the rule does otherwise."""
        self.rule = rule
        self._store = store
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._settling: set[asyncio.Task[None]] = set()
        self._unsettled: dict[str, Unsettled] = {}
        self._away_since = 0.0
        self._ruled = 0
        self._recovery = asyncio.create_task(self._recover(), name="quota-recovery")
        self._watching = Periodic(self._watch, WATCH_INTERVAL, "quota store watch")

    async def close(self) -> None:
        """Make the settlements that can still be made, and close the store."""
        await self._watching.close()
        if self.up:
            await asyncio.wait([self._recovery, *self._settling], timeout=CLOSE_PATIENCE)
        under_way = [self._recovery, *self._settling]
        for task in under_way:
            task.cancel()
        await asyncio.wait(under_way)
        await self._store.close()

    async def reserve(self, lease: str, charges: Sequence[Charge]) -> Decision:
        """Charge all or none. While the store is away: Unavailable, or allowed without a charge."""
        if self.up:
            try:
                return await self._store.reserve(lease, charges)
            except ConnectionError as error:
                self._away(error)
                if self.rule == "deny":
                    self._settle_later(lease, NOTHING)
            except asyncio.CancelledError:
                self._settle_later(lease, NOTHING)
                raise
        self._rule_one()
        return reserve({}, (), moment_of(0.0))

    async def settle(self, lease: str, used: Mapping[Kind, int]) -> Standings:
        """Send the settlement and foresee how the limits stand; once the store is back where it is known to be away.

        Then how they stand is not known. What is reserved here after this is decided after it, over the one connection;
        what is reserved through another gateway, unless that reservation overtakes this settlement on the wire.
        """
        if not self._store.holds(lease):
            return ()
        if not self.up:
            self._settle_later(lease, used)
            return ()
        reply = self._store.send_settlement(lease, used)
        settling = asyncio.create_task(self._settled(lease, used, reply), name="quota-settlement")
        self._settling.add(settling)
        settling.add_done_callback(self._settling.discard)
        return self._store.foresee(lease, used)

    async def seed(self, budgets: Mapping[Limit, int], month: int) -> None:
        """Tell the store what the ledger knows; while it is away nothing happens."""
        if self.up:
            await self._unless_away(self._store.seed(budgets, month))

    async def peek(self, limits: Sequence[Limit]) -> Standings:
        """How limits stand; nothing is known of any while the store is away."""
        return await self._unless_away(self._store.peek(limits)) or () if self.up else ()

    async def _watch(self) -> None:
        """Look whether the store is there, so that it is known where nobody asks for a quota."""
        if self.up:
            await self._unless_away(self._store.peek((PROBE,)))

    async def _settled(self, lease: str, used: Mapping[Kind, int], reply: Awaitable[Standings]) -> None:
        try:
            await reply
        except ConnectionError as error:
            self._away(error)
            self._settle_later(lease, used)

    async def _unless_away(self, work: Awaitable[Standings | None]) -> Standings | None:
        try:
            return await work
        except ConnectionError as error:
            self._away(error)
            return None

    def _rule_one(self) -> None:
        """Count a request that the rule decides. Raises Unavailable where it denies."""
        self._ruled += 1
        self._metrics.quota_outage(self.rule)
        if self.rule == "deny":
            raise Unavailable(
                "Quotas can not be checked at the moment. Please try again.",
                code="quota_unavailable",
                retry_after=RETRY_AFTER,
            )

    def _settle_later(self, lease: str, used: Mapping[Kind, int]) -> None:
        if not self._store.holds(lease):
            return
        if len(self._unsettled) >= MOST_UNSETTLED:
            self._drop(next(iter(self._unsettled)))
        self._unsettled[lease] = Unsettled(used, self._loop.time() + LEASE_SECONDS)
        self._start_recovery()

    def _drop(self, lease: str) -> None:
        del self._unsettled[lease]
        self._store.forget(lease)

    def _away(self, error: ConnectionError) -> None:
        if self.up:
            self.up = False
            self._ruled = 0
            self._away_since = self._loop.time()
            self._metrics.set_quota_store(up=False)
            log.error("quota store away", requests="denied" if self.rule == "deny" else "allowed", reason=str(error))
        self._start_recovery()

    def _back(self) -> None:
        if not self.up:
            self.up = True
            self._metrics.set_quota_store(up=True)
            seconds = round(self._loop.time() - self._away_since, 3)
            log.warning("quota store back", seconds=seconds, **{f"requests_{self.rule}": self._ruled})

    def _start_recovery(self) -> None:
        if self._recovery.done():
            self._recovery = asyncio.create_task(self._recover(), name="quota-recovery")

    async def _recover(self) -> None:
        """Probe until the store is there, then make what settlements wait."""
        pause = FIRST_PAUSE
        while True:
            try:
                await self._store.reserve("probe", [(PROBE, 1)])
                await self._store.settle("probe", NOTHING)
                self._back()
                await self._settle_waiting()
            except ConnectionError as error:
                self._away(error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                return

    async def _settle_waiting(self) -> None:
        while self._unsettled:
            batch = list(islice(self._unsettled.items(), SETTLED_AT_ONCE))
            now = self._loop.time()
            for lease, waiting in batch:
                if waiting.until < now:
                    self._drop(lease)
            live = [(lease, waiting.used) for lease, waiting in batch if waiting.until >= now]
            outcomes = await asyncio.gather(
                *[self._store.settle(lease, used) for lease, used in live], return_exceptions=True
            )
            for (lease, _), outcome in zip(live, outcomes, strict=True):
                if isinstance(outcome, BaseException):
                    raise outcome
                self._unsettled.pop(lease, None)
