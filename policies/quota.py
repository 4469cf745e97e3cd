"""Rate limits by GCRA: the state of a limit is one number, its theoretical arrival time (TAT).

TAT is the second at which everything spent so far will have drained, at `amount / period` a second. A limit admits a
cost when the TAT that follows lies at most one period ahead of now. Hence, over any window of w seconds,

    admitted cost <= amount + amount * w / period

where admitted cost is what was reserved. Counting what was used after refunds instead, w grows by the longest time
between a reservation and its refund: what drained in between was credit that an idle bucket could not have held.
Rounding may bend the bound by `ROUNDING` units; feed a clock whose numbers are small (monotonic, not the calendar's),
and never one that differs between callers of one state. A clock that jumps back only makes the limits stricter.

Denial is a value, never an error, and changes nothing.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Literal, NamedTuple

from policies.pattern import matches

ROUNDING = 1e-3
"""Part of one unit by which float sums may miss, so that a burst of `amount` single units gets all of them."""


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `amount` at once, and `amount` per `period` from there; an amount of 0 admits nothing."""

    subject: str
    """Opaque owner of the state, such as `tenant:<id>` or `key:<id>`; without `|`."""
    kind: Literal["requests", "tokens"]
    amount: int
    """Requests or tokens."""
    model_pattern: str = "*"
    """All models that it covers draw from the one state."""
    period: float = 60.0
    """Seconds."""
    interval: float = field(init=False, repr=False, compare=False)
    """Seconds in which one unit drains."""
    state_key: str = field(init=False, repr=False, compare=False)
    """Names the state; unique per subject, kind, period and pattern, so a changed amount keeps what was spent."""

    def __post_init__(self) -> None:
        if self.amount < 0 or self.period <= 0 or "|" in self.subject:
            raise ValueError(f"not a limit: {self}")
        object.__setattr__(self, "interval", self.period / self.amount if self.amount else 0.0)
        object.__setattr__(self, "state_key", f"{self.subject}|{self.kind}|{self.period:g}|{self.model_pattern}")

    def applies_to(self, names: Collection[str]) -> bool:
        """Whether requests to the model that bears these names are counted."""
        return matches(self.model_pattern, names)


class Standing(NamedTuple):
    """How much of a limit is left."""

    remaining: int
    """Units that would be admitted now."""
    reset_after: float
    """Seconds until the whole amount is free again."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to `reserve`."""

    allowed: bool
    changes: Mapping[str, float]
    """New TAT by state key; empty when denied."""
    denied_by: Limit | None
    """Of the limits that deny, the one that will do so longest."""
    retry_after: float | None
    """Seconds after which the same charges would pass if nothing else were spent; None: not denied, or waiting is no
    cure because a cost is above the amount."""
    standings: tuple[tuple[Limit, Standing], ...]
    """In the order of the charges, after them."""


def reserve(states: Mapping[str, float], charges: Sequence[tuple[Limit, int]], now: float) -> Decision:
    """Charge every limit or none. A cost of zero always passes and changes nothing.

    `states` holds TATs by state key; a missing one is a limit that nobody has used. A limit named by several charges is
    charged for all of them.
    """
    changes: dict[str, float] = {}
    denied_by, longest = None, 0.0
    for limit, cost in charges:
        tat = changes.get(limit.state_key, states.get(limit.state_key))
        wait = wait_for(tat, limit, cost, now)
        if wait > longest:
            denied_by, longest = limit, wait
        if cost:
            changes[limit.state_key] = spend(tat, limit, cost, now)
    if denied_by is not None:
        changes.clear()
    standings = tuple(
        [(limit, peek(changes.get(limit.state_key, states.get(limit.state_key)), limit, now)) for limit, _ in charges]
    )
    retry_after = None if denied_by is None or longest == inf else longest
    return Decision(denied_by is None, changes, denied_by, retry_after, standings)


def wait_for(tat: float | None, limit: Limit, cost: int, now: float) -> float:
    """Seconds until the limit admits the cost: 0 is now, infinity is never."""
    if cost <= 0:
        if cost < 0:
            raise ValueError(f"a cost is not negative: {cost}")
        return 0.0
    if cost > limit.amount:
        return inf
    if tat is None or tat <= now:
        return 0.0
    excess = tat - now + cost * limit.interval - limit.period
    return excess if excess > limit.interval * ROUNDING else 0.0


def spend(tat: float | None, limit: Limit, cost: int, now: float) -> float:
    """The TAT after a cost, asked for or not: it may pass the limit (debt)."""
    return (now if tat is None or tat < now else tat) + cost * limit.interval


def peek(tat: float | None, limit: Limit, now: float) -> Standing:
    """How the limit stands; changes nothing."""
    if tat is None or tat <= now:
        return Standing(limit.amount, 0.0)
    ahead = tat - now
    free = (limit.period - ahead) / limit.interval + ROUNDING if limit.amount else 0.0
    return Standing(int(free) if free > 0 else 0, ahead)


def refund(tat: float | None, limit: Limit, reserved: int, actual: int, now: float) -> float:
    """The TAT once a reservation turned out to have cost `actual`: less is given back, more is charged, even as debt.

    A refund of everything leaves the limit standing as if nothing had been reserved: to the last bit of the sum when
    amounts and times are binary fractions, within rounding otherwise. It is more generous than that only when others
    spent between the two and the limit would have stood full meanwhile; the module says by how much at most.
    """
    if tat is None:
        tat = now
    if actual > reserved:
        return spend(tat, limit, actual - reserved, now)
    return max(tat - (reserved - actual) * limit.interval, min(tat, now))
