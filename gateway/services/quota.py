"""Quota at the shell: `async with quota.reserve(...)` spends an upper bound, and gives back what was not used.

All limits that apply are charged or none (policies/quota.py). A block that raises, or is cancelled, gets everything
back; one that sets `reservation.used` pays exactly that. Where the state lives is the store's business: memory for one
process, Redis for many, both behind `QuotaStore`.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from math import ceil
from secrets import token_hex
from typing import Protocol

from gateway.errors import CostTooHigh, GatewayError, QuotaExceeded, QuotaSpent, TokenQuotaExceeded
from gateway.services.snapshot import KeyEntry
from policies.quota import Decision, Limit, Standing

Charge = tuple[Limit, int]
Standings = Sequence[tuple[Limit, Standing]]

ROUNDING = 1e-3
"""Milliseconds that a float sum may be off before they are rounded up."""
NOTHING: Mapping[str, int] = {"requests": 0, "tokens": 0}


class QuotaStore(Protocol):
    """State of limits, and the leases on it. The store's clock is the only one.

    `reserve` is replay-safe and `settle` idempotent by lease: sent twice, they count once.
    """

    async def reserve(self, lease: str, charges: Sequence[Charge]) -> Decision:
        """Charge all or none."""
        ...

    async def settle(self, lease: str, used: Mapping[str, int]) -> Standings:
        """Turn what the lease reserved into what was used, by kind; how the limits stand then."""
        ...

    async def peek(self, limits: Sequence[Limit]) -> Standings:
        """How limits stand."""
        ...


class Reservation:
    """What a request has reserved. The block sets `used`; None at its end gives everything back."""

    def __init__(self, standings: Standings) -> None:
        self.used: int | None = None
        """Tokens that the model processed."""
        self.settled = 0
        """Tokens that were paid for: `used` once the block has ended well, 0 otherwise."""
        self.standings = standings
        """How the limits stand: after the reservation, and after the block has ended, after the settlement."""


class Quota:
    """Reserves and settles for requests."""

    def __init__(self, store: QuotaStore) -> None:
        self._store = store

    @asynccontextmanager
    async def reserve(
        self, key: KeyEntry, names: Collection[str], *, model: str, tokens: int
    ) -> AsyncIterator[Reservation]:
        """Reserve one request and at most `tokens` tokens of the model that bears `names`; `model` is for texts.

        Raises QuotaExceeded, or CostTooHigh where no wait would help; then nothing has changed.
        """
        charges = [(limit, 1 if limit.kind == "requests" else tokens) for limit in limits_of(key, names)]
        lease = token_hex(16)
        decision = await self._store.reserve(lease, charges)
        if not decision.allowed:
            raise refusal(decision, key, model, tokens)
        reservation = Reservation(decision.standings)
        spent = NOTHING
        try:
            yield reservation
            if reservation.used is not None:
                reservation.settled = reservation.used
                spent = {"requests": 1, "tokens": reservation.used}
        finally:
            reservation.standings = await self._store.settle(lease, spent)

    async def standings(self, key: KeyEntry, names: Collection[str] = ()) -> Standings:
        """How the limits stand that apply to the model, or to every model where none is named."""
        limits = limits_of(key, names)
        return await self._store.peek(limits) if limits else ()


def limits_of(key: KeyEntry, names: Collection[str] = ()) -> tuple[Limit, ...]:
    """The limits of a key and its tenant that apply to the model of these names; without names, those on all models."""
    every = (*key.tenant.limits, *key.limits)
    if not names:
        return tuple([limit for limit in every if limit.model_pattern == "*"])
    return tuple([limit for limit in every if limit.applies_to(names)])


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


def refusal(decision: Decision, key: KeyEntry, model: str, tokens: int) -> GatewayError:
    """Why a reservation was denied, in OpenAI's words."""
    limit = decision.denied_by
    if limit is None or limit.amount == 0:
        return QuotaSpent(
            "You exceeded your current quota, please check your plan and billing details.",
            code="insufficient_quota",
            should_retry=False,
        )
    if decision.retry_after is None:
        return CostTooHigh(
            f"Requested {tokens} tokens, max {limit.amount} tokens per request. Text counts by its bytes until it is "
            "tokenized; send fewer or shorter inputs per request.",
            code="max_tokens_per_request",
            should_retry=False,
        )
    remaining = next(standing.remaining for other, standing in decision.standings if other == limit)
    kind, unit, requested = (
        (TokenQuotaExceeded, "tokens per min (TPM)", tokens)
        if limit.kind == "tokens"
        else (QuotaExceeded, "requests per min (RPM)", 1)
    )
    return kind(
        f"Rate limit reached for {model} in organization {key.tenant.name} on {unit}: Limit {limit.amount}, "
        f"Used {limit.amount - remaining}, Requested {requested}. "
        f"Please try again in {go_duration(decision.retry_after)}.",
        code="rate_limit_exceeded",
        retry_after=decision.retry_after,
    )
