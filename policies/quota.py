"""Limits as arithmetic: what has been spent, and whether a cost still fits. The state of a limit is two numbers.

Rates (`requests`, `tokens`) are leaky buckets: what was spent drains at `amount / period` a second, and a cost is
admitted while all of it fits under `amount`. Hence, over any window of w seconds of the store's clock,

    admitted cost <= amount + amount * w / period

where admitted cost is what was reserved. Counting what was used after refunds instead, w grows by the longest time
between a reservation and its refund: what drained in between was credit that an idle bucket could not have held. This
is GCRA with a burst of `amount`, kept as units rather than as a time, so that a large clock costs no precision, a
changed amount keeps what was spent, and a clock that jumps back stops nobody: a state of the future is taken as of now.

`tokens_per_month` counts within a calendar month in UTC; the ledger knows what was used before the state existed, so a
state that is missing must be seeded from it before anything is decided. `concurrency` counts what is under way.

Denial is a value, never an error, and changes nothing but the anchor of a state of the future.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import inf
from typing import Literal, NamedTuple

from policies.pattern import matches

Kind = Literal["requests", "tokens", "tokens_per_month", "concurrency"]

ROUNDING = 1e-3
"""Part of one unit by which float sums may miss, so that a burst of `amount` single units gets all of them."""
CONCURRENCY_WAIT = 1.0
"""Seconds after which to ask again for a place: nobody knows when one gets free."""
DAY = 86400


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `amount` at once, and for rates `amount` per `period` from there; an amount of 0 admits nothing."""

    subject: str
    """Opaque owner of the state, such as `tenant:<id>` or `key:<lineage>`; without `|`."""
    kind: Kind
    amount: int
    """Requests, tokens, or requests under way."""
    model_pattern: str = "*"
    """All models that it covers draw from the one state."""
    period: float = 60.0
    """Seconds; of rates only."""
    tenant: str = ""
    """Whose it is: a store keeps the states of one tenant together."""
    rate: float = field(init=False, repr=False, compare=False)
    """Units that drain in a second; 0 where nothing drains."""
    state_key: str = field(init=False, repr=False, compare=False)
    """Names the state; unique per subject, kind, period and pattern, so a changed amount keeps what was spent."""

    def __post_init__(self) -> None:
        if self.amount < 0 or self.period <= 0 or "|" in self.subject:
            raise ValueError(f"not a limit: {self}")
        drains = self.kind in ("requests", "tokens")
        object.__setattr__(self, "rate", self.amount / self.period if drains else 0.0)
        object.__setattr__(self, "state_key", f"{self.subject}|{self.kind}|{self.period:g}|{self.model_pattern}")

    def applies_to(self, names: Collection[str]) -> bool:
        """Whether requests to the model that bears these names are counted."""
        return matches(self.model_pattern, names)


Charge = tuple[Limit, int]
"""A limit, and what is to be reserved of it."""


class State(NamedTuple):
    """What has been spent of a limit, and as of when."""

    spent: float
    """Units that have not drained at `at`."""
    at: float
    """A second of the store's clock for rates, the number of the month for monthly tokens, 0 for concurrency."""


class Moment(NamedTuple):
    """A time of the store's clock."""

    seconds: float
    """Unix time."""
    month: int
    """Year * 12 + month - 1, in UTC."""


class Standing(NamedTuple):
    """How much of a limit is left."""

    remaining: int
    """Units that would be admitted now."""
    reset_after: float
    """Seconds until the whole amount is free again; 0 for concurrency, where nobody knows."""


Standings = Sequence[tuple[Limit, Standing]]


class Decision(NamedTuple):
    """The answer to `reserve`."""

    allowed: bool
    changes: Mapping[str, State]
    """New states by key. When denied: at most states of the future, anchored to now with all that was spent of them."""
    denied_by: Limit | None
    """Of the limits that deny, the one that will do so longest."""
    retry_after: float | None
    """Seconds after which the same charges would pass if nothing else were spent; None: not denied, or waiting is no
    cure, because a cost is above the amount or the month is spent."""
    unseeded: tuple[Limit, ...]
    """Monthly limits whose state must come from the ledger first; where there are any, nothing is decided."""
    moment: Moment
    """When it was decided, by the store's clock; of its month the ledger is to be asked."""
    left: Sequence[tuple[Limit, State | None]]
    """The limits in the order of the charges with their states after them; empty where nothing is decided."""

    @property
    def standings(self) -> Standings:
        """How the limits stand after the decision."""
        return [(limit, peek(state, limit, self.moment)) for limit, state in self.left]


def reserve(states: Mapping[str, State], charges: Sequence[Charge], moment: Moment) -> Decision:
    """Charge every limit or none. A cost of zero always passes and changes nothing.

    A missing state is a limit that nobody has used, but for monthly ones. A limit named by several charges is charged
    for all of them.
    """
    changes: dict[str, State] = {}
    anchors = _anchors(moment)
    unseeded: list[Limit] = []
    denied_by, longest = None, 0.0
    for limit, cost in charges:
        key = limit.state_key
        spent = spent_of(changes.get(key) or states.get(key), limit, moment)
        if spent is None:
            unseeded.append(limit)
            continue
        if cost and spent + cost > limit.amount + ROUNDING:
            wait = wait_for(spent, limit, cost, moment)
            if wait > longest:
                denied_by, longest = limit, wait
        if cost > 0:
            changes[key] = State(spent + cost, anchors[limit.kind])
        elif cost < 0:
            raise ValueError(f"a cost is not negative: {cost}")
    if unseeded:
        return Decision(False, {}, None, None, tuple(unseeded), moment, ())
    if denied_by is None:
        return Decision(True, changes, None, None, (), moment, _left(states, changes, charges))
    repairs = _anchored(states, charges, moment)
    retry_after = None if longest == inf or denied_by.kind == "tokens_per_month" else longest
    return Decision(False, repairs, denied_by, retry_after, (), moment, _left(states, repairs, charges))


def settle(
    states: Mapping[str, State], charges: Sequence[Charge], used: Mapping[Kind, int], reserved: Moment, now: Moment
) -> Mapping[str, State]:
    """The states once the charges of `reserved` turned out to have cost `used`.

    Less is given back, more is charged, even as debt; places of concurrency get free whatever was used. A month that
    has ended since stays as it was counted. A refund of everything leaves a limit standing as if nothing had been
    reserved, within rounding; it is more generous than that only where others spent between the two and the limit
    would have stood full meanwhile; the module says by how much at most.
    """
    changes: dict[str, State] = {}
    for limit, cost in charges:
        key, kind = limit.state_key, limit.kind
        state = changes.get(key) or states.get(key)
        if kind == "tokens_per_month":
            if state is None or state.at != reserved.month:
                continue
            spent, anchor = state.spent - cost + used[kind], state.at
        elif kind == "concurrency":
            spent, anchor = (state.spent if state else 0.0) - cost, 0.0
        else:
            spent, anchor = (spent_of(state, limit, now) or 0.0) - cost + used[kind], now.seconds
        changes[key] = State(spent if spent > 0.0 else 0.0, anchor)  # noqa: FURB136 (max() takes twice as long)
    return changes


def reap(states: Mapping[str, State], charges: Sequence[Charge], reserved: Moment, now: Moment) -> Mapping[str, State]:
    """The states once it is clear that nobody will settle these charges, because their gateway died.

    Places get free, and the month is refunded, since nothing was billed. Rates are left to drain.
    """
    lasting = [charge for charge in charges if charge[0].kind in {"concurrency", "tokens_per_month"}]
    return settle(states, lasting, {"tokens_per_month": 0}, reserved, now)


def peek(state: State | None, limit: Limit, moment: Moment) -> Standing:
    """How the limit stands; changes nothing. A month without a state counts as unused."""
    spent = spent_of(state, limit, moment) or 0.0
    free = limit.amount - spent + ROUNDING
    if limit.kind == "tokens_per_month":
        reset_after = month_start(moment.month + 1) - moment.seconds
    else:
        reset_after = spent / limit.rate if limit.rate else 0.0
    return Standing(int(free) if free > 0 else 0, reset_after)


def spent_of(state: State | None, limit: Limit, moment: Moment) -> float | None:
    """What of the limit is spent now, debt included. None: the ledger must be asked.

    That is so where a month has no state, or one of a later month, from which the clock came back.
    """
    if limit.kind == "tokens_per_month":
        if state is None or state.at > moment.month:
            return None
        return state.spent if state.at == moment.month else 0.0
    if state is None:
        return 0.0
    elapsed = moment.seconds - state.at
    if elapsed <= 0.0 or limit.kind == "concurrency":
        return state.spent
    spent = state.spent - elapsed * limit.rate
    return spent if spent > 0.0 else 0.0  # noqa: FURB136 (max() takes twice as long)


def wait_for(spent: float, limit: Limit, cost: int, moment: Moment) -> float:
    """Seconds until a limit that denies the cost would admit it; infinity is never."""
    if cost > limit.amount:
        return inf
    if limit.kind == "concurrency":
        return CONCURRENCY_WAIT
    if limit.kind == "tokens_per_month":
        return month_start(moment.month + 1) - moment.seconds
    return (spent + cost - limit.amount) / limit.rate


def moment_of(unix_seconds: float) -> Moment:
    """The moment of a Unix time."""
    return Moment(unix_seconds, _month_of_day(int(unix_seconds // DAY)))


def month_start(month: int) -> float:
    """The Unix time at which a month begins."""
    return float(_day_of_month(month) * DAY)


@lru_cache(maxsize=64)
def _month_of_day(day: int) -> int:
    """The month of the day so many days after 1970-01-01, in the proleptic Gregorian calendar.

    Counted in years that begin in March, so that the leap day comes last:
    https://howardhinnant.github.io/date_algorithms.html#civil_from_days
    """
    era, of_era = divmod(day + 719468, 146097)
    year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    return (era * 400 + year) * 12 + (5 * of_year + 2) // 153 + 2


@lru_cache(maxsize=64)
def _day_of_month(month: int) -> int:
    """The first day of the month, in days after 1970-01-01; the inverse of `_month_of_day`."""
    year, since_march = divmod(month - 2, 12)
    era, of_era = divmod(year, 400)
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + (153 * since_march + 2) // 5 - 719468


def _anchors(moment: Moment) -> Mapping[Kind, float]:
    """The `at` of states that are written now."""
    seconds = moment.seconds
    return {"requests": seconds, "tokens": seconds, "tokens_per_month": moment.month, "concurrency": 0.0}


def _left(
    states: Mapping[str, State], changes: Mapping[str, State], charges: Sequence[Charge]
) -> Sequence[tuple[Limit, State | None]]:
    return [(limit, changes.get(limit.state_key) or states.get(limit.state_key)) for limit, _ in charges]


def _anchored(states: Mapping[str, State], charges: Sequence[Charge], moment: Moment) -> dict[str, State]:
    """The states of the future among those of the charges, as of now."""
    found = ((limit.state_key, states.get(limit.state_key)) for limit, _ in charges if limit.rate)
    return {key: State(state.spent, moment.seconds) for key, state in found if state and state.at > moment.seconds}
