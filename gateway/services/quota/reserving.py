"""Quota at the shell: `async with quota.reserve(...)` spends an upper bound, and gives back what was not used.

All limits that apply are charged or none (policies/quota.py). A block that raises, or is cancelled, gets everything
back; one that sets `reservation.used` pays exactly that. Where the state lives is the store's business: memory for one
process, Redis for many, both behind `QuotaStore`.
"""

from collections.abc import Collection, Mapping, Sequence
from math import ceil
from secrets import token_hex
from typing import Protocol, Self

from gateway import errand
from gateway.errors import (
    ConcurrencyExceeded,
    CostTooHigh,
    GatewayError,
    QuotaExceeded,
    QuotaSpent,
    TokenQuotaExceeded,
    Unavailable,
)
from gateway.services.snapshot.entries import KeyEntry
from policies.quota import Charge, Decision, Kind, Limit, Standings

LEASE_SECONDS = 330.0
"""A lease that is not settled by then is reaped: longer than any request takes, so its gateway must be dead."""
TOKENS: Collection[Kind] = ("tokens", "tokens_per_month")
SEED_ATTEMPTS = 3
"""Times that the ledger is asked for one request; more than once only where a month begins or a store restarts."""

ROUNDING = 1e-3
"""Milliseconds that a float sum may be off before they are rounded up."""
NOTHING: Mapping[Kind, int] = {"requests": 0, "tokens": 0, "tokens_per_month": 0}


SPENT = "You exceeded your current quota, please check your plan and billing details."
REFUSALS: Mapping[Kind, tuple[type[QuotaExceeded], str, str]] = {
    "requests": (QuotaExceeded, "requests per min (RPM)", "rate_limit_exceeded"),
    "tokens": (TokenQuotaExceeded, "tokens per min (TPM)", "rate_limit_exceeded"),
    "concurrency": (ConcurrencyExceeded, "concurrent requests", "concurrency_limit_exceeded"),
}


class QuotaStore(Protocol):
    """State of limits, and the leases on it. The store's clock is the only one.

    `reserve` is replay-safe and `settle` idempotent by lease: sent twice, they count once. A lease that is not settled
    within `LEASE_SECONDS` is reaped (policies/quota.py): its gateway died, and nothing was billed.
    """

    async def reserve(self, lease: str, charges: Sequence[Charge]) -> Decision:
        """Charge all or none. Where a monthly limit is `unseeded`, nothing is decided and no lease begins.

        One that is cancelled, or fails, gives back what it may have reserved.
        """
        ...

    async def settle(self, lease: str, used: Mapping[Kind, int]) -> Standings:
        """Turn what the lease reserved into what was used, by kind; how the limits stand then. Empty if unknown."""
        ...

    async def seed(self, budgets: Mapping[Limit, int], month: int) -> None:
        """Raise what was spent of monthly limits to what the ledger says was used in `month`, never lower it.

        Nothing changes where the store's own month is another one.
        """
        ...

    async def peek(self, limits: Sequence[Limit]) -> Standings:
        """How limits stand."""
        ...


class Ledger(Protocol):
    """Who knows what monthly limits have been charged with, beyond any store's memory."""

    async def used(self, limits: Sequence[Limit], month: int) -> Mapping[Limit, int]:
        """Tokens that each limit covers and that were used in the month."""
        ...

    def note(self, standings: Standings) -> None:
        """Look at how limits stand after a settlement; must cost nothing."""
        ...


class Reservation:
    """What a request reserves while its block runs. The block sets `used`; None at its end gives everything back."""

    def __init__(
        self, quota: "Quota", key: KeyEntry, names: Collection[str], *, model: str, tokens: int, requests: int
    ) -> None:
        self.used: int | None = None
        """Tokens that the model processed."""
        self.delivered = 0
        """Tokens of an answer that leaves while it is made and has left already: paid for even if the block fails."""
        self.settled = 0
        """Tokens that were paid for: `used` once the block has ended well, `delivered` otherwise."""
        self.after: Standings | None = None
        """How the limits stand after the settlement."""
        self._quota = quota
        self._key = key
        self._names = names
        self._model = model
        self._tokens = tokens
        self._requests = requests

    @property
    def standings(self) -> Standings:
        """How the limits stand: after the reservation, and once the block has ended, after the settlement."""
        return self._decision.standings if self.after is None else self.after

    async def __aenter__(self) -> Self:
        tokens, requests = self._tokens, self._requests
        charges = [(limit, _charge(limit, tokens, requests)) for limit in limits_of(self._key, self._names)]
        self._lease = token_hex(16)
        with errand.span().part("quota.reserve"):
            self._decision = await self._quota.decide(self._lease, charges)
        if not self._decision.allowed:
            raise refusal(self._decision, self._key, self._model, tokens, requests)
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        requests = 0
        if error is None and self.used is not None:
            self.settled, requests = self.used, self._requests
        if self.delivered and not self.settled:
            self.settled, requests = self.delivered, 1
        spent: Mapping[Kind, int] = {"requests": requests, "tokens": self.settled, "tokens_per_month": self.settled}
        self.after = await self._quota.settle(self._lease, spent)


class Quota:
    """Reserves and settles for requests."""

    def __init__(self, store: QuotaStore, ledger: Ledger) -> None:
        self._store = store
        self._ledger = ledger

    def reserve(
        self, key: KeyEntry, names: Collection[str], *, model: str, tokens: int, requests: int = 1
    ) -> Reservation:
        """Reserve one request and at most `tokens` tokens of the model that bears `names`; `model` is for texts.

        Several `requests` that go as one are one where requests at a time are counted. To enter it raises
        QuotaExceeded, or CostTooHigh where no wait would help; then nothing has changed.
        """
        return Reservation(self, key, names, model=model, tokens=tokens, requests=requests)

    async def decide(self, lease: str, charges: Sequence[Charge]) -> Decision:
        """Charge all or none. Raises Unavailable where nobody knows what was used this month."""
        for _ in range(SEED_ATTEMPTS):
            decision = await self._store.reserve(lease, charges)
            if not decision.unseeded:
                return decision
            month = decision.moment.month
            await self._store.seed(await self._ledger.used(decision.unseeded, month), month)
        raise Unavailable("The budget of this month is not known yet; please try again.", retry_after=1.0)

    async def settle(self, lease: str, used: Mapping[Kind, int]) -> Standings:
        """Turn what the lease reserved into what was used; how the limits stand then."""
        standings = await self._store.settle(lease, used)
        self._ledger.note(standings)
        return standings

    async def peek(self, limits: Sequence[Limit]) -> Standings:
        """How these limits stand, for operators."""
        return await self._store.peek(limits)

    async def standings(self, key: KeyEntry, names: Collection[str] = ()) -> Standings:
        """How the limits stand that apply to the model, or to every model where none is named."""
        limits = limits_of(key, names)
        return await self._store.peek(limits) if limits else ()


def limits_of(key: KeyEntry, names: Collection[str] = ()) -> tuple[Limit, ...]:
    """The limits of a key and its tenant that apply to the model of these names; without names, those on all models."""
    every = (*key.tenant.limits, *key.limits)
    if not names:
        return tuple([limit for limit in every if limit.model_pattern == "*"])
    return tuple([limit for limit in every if limit.model_pattern == "*" or limit.applies_to(names)])


def go_duration(seconds: float) -> str:
    """A time span as Go prints it, rounded up to milliseconds: `12ms`, `1.5s`, `6m0s`, `1h0m0s`."""
    milliseconds = ceil(seconds * 1000 - ROUNDING)
    if milliseconds < 1000:
        return f"{milliseconds}ms" if milliseconds > 0 else "0s"
    whole, fraction = divmod(milliseconds, 1000)
    minutes, last = divmod(whole, 60)
    text = f"{last}.{fraction:03d}".rstrip("0") + "s" if fraction else f"{last}s"
    if minutes >= 60:
        return f"{minutes // 60}h{minutes % 60}m{text}"
    return f"{minutes}m{text}" if minutes else text


def _charge(limit: Limit, tokens: int, requests: int) -> int:
    if limit.kind in TOKENS:
        return tokens
    return requests if limit.kind == "requests" else 1


def refusal(decision: Decision, key: KeyEntry, model: str, tokens: int, requests: int = 1) -> GatewayError:
    """Why a reservation was denied, in OpenAI's words."""
    limit = decision.denied_by
    if limit is None or limit.amount == 0:
        return QuotaSpent(SPENT, code="insufficient_quota", should_retry=False)
    requested = _charge(limit, tokens, requests)
    if requested > limit.amount:
        return CostTooHigh(
            f"Requested {requested} tokens, max {limit.amount} tokens per request. Text counts by its bytes until it "
            "is tokenized; send fewer or shorter inputs per request.",
            code="max_tokens_per_request",
            should_retry=False,
        )
    remaining = next(standing.remaining for other, standing in decision.standings if other == limit)
    figures = f"Limit {limit.amount}, Used {limit.amount - remaining}, Requested {requested}."
    if decision.retry_after is None:
        return QuotaSpent(
            f"{SPENT} Tokens per month for {model} in organization {key.tenant.name}: {figures} The "
            "month ends at midnight UTC of its last day.",
            code="insufficient_quota",
            should_retry=False,
        )
    kind, unit, code = REFUSALS[limit.kind]
    return kind(
        f"Rate limit reached for {model} in organization {key.tenant.name} on {unit}: {figures} "
        f"Please try again in {go_duration(decision.retry_after)}.",
        code=code,
        retry_after=decision.retry_after,
    )
