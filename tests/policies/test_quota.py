"""The arithmetic of one limit, row by row against a clock that the test holds."""

from datetime import UTC, date, datetime, timedelta
from math import inf

import pytest

from policies.quota import (
    Limit,
    Moment,
    Standing,
    State,
    moment_of,
    month_start,
    peek,
    reap,
    reserve,
    settle,
    spent_of,
    wait_for,
)

FIVE = Limit("tenant:a", "requests", 5, period=5.0)  # one unit a second
MONTH = Limit("tenant:a", "tokens_per_month", 1000)
PLACES = Limit("tenant:a", "concurrency", 2)
NOVEMBER = 2026 * 12 + 10


def second(now: float) -> Moment:
    return Moment(now, NOVEMBER)


def at(*civil: int) -> Moment:
    return moment_of(datetime(*civil, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("state", "now", "cost", "wait", "after"),
    [
        pytest.param(None, 100.0, 1, 0.0, State(1, 100.0), id="the first unit of an unused limit"),
        pytest.param(None, 100.0, 5, 0.0, State(5, 100.0), id="the whole burst at once"),
        pytest.param(None, 100.0, 6, inf, None, id="more than the burst never passes"),
        pytest.param(State(2, 90.0), 100.0, 5, 0.0, State(5, 100.0), id="idle time saves up no more than the burst"),
        pytest.param(State(5, 100.0), 100.0, 1, 1.0, None, id="used up: one unit drains in a second"),
        pytest.param(State(5, 100.0), 100.0, 5, 5.0, None, id="used up: the whole burst drains in a period"),
        pytest.param(State(5, 100.0), 101.0, 1, 0.0, State(5, 101.0), id="after a second one unit passes"),
        pytest.param(State(5, 100.0), 101.0, 2, 1.0, None, id="after a second two do not"),
        pytest.param(State(3.5, 100.0), 100.0, 1, 0.0, State(4.5, 100.0), id="half units drain too"),
        pytest.param(State(3.5, 100.0), 100.0, 2, 0.5, None, id="and are waited for"),
        pytest.param(State(20, 100.0), 100.0, 1, 16.0, None, id="debt is drained first"),
        pytest.param(State(20, 100.0), 100.0, 0, 0.0, None, id="nothing always passes, even in debt"),
        pytest.param(State(4, 1e9), 100.0, 1, 0.0, State(5, 100.0), id="a state of the future is as of now"),
        pytest.param(None, 0.0, 5, 0.0, State(5, 0.0), id="zero is a time like any other"),
        pytest.param(None, -1e9, 5, 0.0, State(5, -1e9), id="and so is the past before it"),
    ],
)
def test_one_rate(state: State | None, now: float, cost: int, wait: float, after: State | None) -> None:
    states = {} if state is None else {FIVE.state_key: state}
    decision = reserve(states, [(FIVE, cost)], second(now))
    assert decision.allowed is (wait == 0.0)
    assert decision.changes == ({} if after is None else {FIVE.state_key: after})
    assert decision.retry_after == (wait if 0 < wait < inf else None)
    assert decision.denied_by is (FIVE if wait else None)


def test_a_denial_anchors_a_state_of_the_future_and_changes_nothing_else() -> None:
    other = Limit("key:b", "tokens", 10)
    states = {FIVE.state_key: State(5, 1e9), other.state_key: State(3, 90.0)}
    decision = reserve(states, [(FIVE, 1), (other, 1)], second(100.0))
    assert not decision.allowed
    assert decision.retry_after == 1.0
    assert decision.changes == {FIVE.state_key: State(5, 100.0)}


@pytest.mark.parametrize(
    ("limit", "state", "standing"),
    [
        (FIVE, None, Standing(5, 0.0)),
        (FIVE, State(3, 90.0), Standing(5, 0.0)),
        (FIVE, State(1, 100.0), Standing(4, 1.0)),
        (FIVE, State(1.5, 100.0), Standing(3, 1.5)),
        (FIVE, State(5, 100.0), Standing(0, 5.0)),
        (FIVE, State(20, 100.0), Standing(0, 20.0)),
        (FIVE, State(5, 1e9), Standing(0, 5.0)),
        (PLACES, None, Standing(2, 0.0)),
        (PLACES, State(2, 0.0), Standing(0, 0.0)),
        (PLACES, State(5, 0.0), Standing(0, 0.0)),
    ],
)
def test_standing_tells_what_is_left_and_when_all_is_free(limit, state, standing) -> None:
    assert peek(state, limit, second(100.0)) == standing


@pytest.mark.parametrize(
    ("state", "reserved", "used", "now", "after"),
    [
        pytest.param(State(5, 100.0), 5, 5, 100.0, State(5, 100.0), id="as foreseen: unchanged"),
        pytest.param(State(5, 100.0), 5, 2, 100.0, State(2, 100.0), id="the difference comes back"),
        pytest.param(State(5, 100.0), 5, 0, 100.0, State(0, 100.0), id="all comes back"),
        pytest.param(State(5, 100.0), 5, 7, 100.0, State(7, 100.0), id="more was used: debt"),
        pytest.param(State(2, 100.0), 2, 4, 110.0, State(2, 110.0), id="debt is charged from now, not from the past"),
        pytest.param(State(5, 100.0), 5, 0, 103.0, State(0, 103.0), id="what has drained is not given twice"),
        pytest.param(State(5, 1e9), 5, 2, 100.0, State(2, 100.0), id="a state of the future is as of now"),
        pytest.param(None, 5, 2, 100.0, State(0, 100.0), id="a state that was dropped as drained is full"),
        pytest.param(None, 2, 5, 100.0, State(3, 100.0), id="and can be charged"),
    ],
)
def test_settling_a_rate(state, reserved, used, now, after) -> None:
    states = {} if state is None else {FIVE.state_key: state}
    settled = settle(states, [(FIVE, reserved)], {"requests": used}, second(100.0), second(now))
    assert settled == {FIVE.state_key: after}


def test_places_get_free_whatever_was_used_and_never_more_than_there_are() -> None:
    states: dict[str, State] = {}
    for _ in range(2):
        states.update(reserve(states, [(PLACES, 1)], second(100.0)).changes)
    denied = reserve(states, [(PLACES, 1)], second(1e6))
    assert (denied.allowed, denied.retry_after, denied.changes) == (False, 1.0, {})
    for left in (1, 0, 0):
        states.update(settle(states, [(PLACES, 1)], {}, second(100.0), second(50.0)))
        assert states == {PLACES.state_key: State(left, 0.0)}


def test_a_month_that_nobody_has_seeded_decides_nothing() -> None:
    for states in ({}, {MONTH.state_key: State(5, NOVEMBER + 1)}):  # none, or one from which the clock came back
        decision = reserve(states, [(FIVE, 9), (MONTH, 1)], second(100.0))
        assert (decision.allowed, decision.denied_by, decision.changes) == (False, None, {})
        assert (decision.unseeded, decision.standings) == ((MONTH,), [])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((2026, 11, 30, 23, 59, 59), (2026, 12, 1)),
        ((2026, 12, 31, 23, 59, 59), (2027, 1, 1)),
        ((2028, 2, 29, 23, 59, 59), (2028, 3, 1)),
        ((2027, 2, 28, 23, 59, 59), (2027, 3, 1)),
        ((2100, 2, 28, 23, 59, 59), (2100, 3, 1)),
        ((2000, 2, 29, 23, 59, 59), (2000, 3, 1)),
    ],
)
def test_a_spent_month_is_free_again_at_midnight_utc_of_its_last_day(before, after) -> None:
    end, start = at(*before), at(*after)
    states = {MONTH.state_key: State(1000, end.month)}
    denied = reserve(states, [(MONTH, 1)], end)
    assert (denied.allowed, denied.denied_by, denied.retry_after) == (False, MONTH, None)
    assert denied.standings == [(MONTH, Standing(0, 1.0))]
    assert reserve(states, [(MONTH, 7)], start).changes == {MONTH.state_key: State(7, start.month)}


def test_the_day_before_a_leap_day_is_not_the_end_of_february() -> None:
    states = {MONTH.state_key: State(1000, at(2028, 2, 28).month)}
    assert not reserve(states, [(MONTH, 1)], at(2028, 2, 29)).allowed


@pytest.mark.parametrize(
    ("state", "used", "after"),
    [
        (State(300, NOVEMBER), 40, State(240, NOVEMBER)),
        (State(300, NOVEMBER), 0, State(200, NOVEMBER)),
        (State(300, NOVEMBER), 900, State(1100, NOVEMBER)),
        (State(50, NOVEMBER), 0, State(0, NOVEMBER)),
        (State(300, NOVEMBER + 1), 40, None),
        (None, 40, None),
    ],
)
def test_a_month_pays_for_what_was_reserved_in_it_unless_it_is_over(state, used, after) -> None:
    states = {} if state is None else {MONTH.state_key: state}
    for now in (second(100.0), Moment(100.0, NOVEMBER + 1)):
        settled = settle(states, [(MONTH, 100)], {"tokens_per_month": used}, second(50.0), now)
        assert settled == ({} if after is None else {MONTH.state_key: after})


def test_reaping_frees_places_and_refunds_the_month_and_lets_rates_drain() -> None:
    states = {MONTH.state_key: State(300, NOVEMBER), PLACES.state_key: State(2, 0.0), FIVE.state_key: State(5, 100.0)}
    charges = [(FIVE, 1), (MONTH, 100), (PLACES, 1)]
    assert reap(states, charges, second(100.0), second(100.0)) == {
        MONTH.state_key: State(200, NOVEMBER),
        PLACES.state_key: State(1, 0.0),
    }


def test_standings_are_those_after_the_charge_and_unchanged_ones_after_a_denial() -> None:
    wide = Limit("tenant:a", "tokens", 100, period=100.0)
    decision = reserve({}, [(FIVE, 1), (wide, 40)], second(0.0))
    assert decision.standings == [(FIVE, Standing(4, 1.0)), (wide, Standing(60, 40.0))]
    denied = reserve(decision.changes, [(FIVE, 1), (wide, 61)], second(0.0))
    assert denied.standings == decision.standings


def test_a_denial_names_the_limit_that_denies_longest() -> None:
    slow = Limit("tenant:a", "tokens", 5, period=50.0)
    full = {
        FIVE.state_key: State(5, 0.0),
        slow.state_key: State(5, 0.0),
        PLACES.state_key: State(2, 0.0),
        MONTH.state_key: State(1000, NOVEMBER),
    }
    now = Moment(0.0, NOVEMBER)
    charges = [(PLACES, 1), (FIVE, 1), (slow, 1)]
    assert reserve(full, charges, now)[2:4] == (slow, 10.0)
    assert reserve(full, [*charges, (MONTH, 1)], now)[2:4] == (MONTH, None)
    assert reserve(full, [*charges, (MONTH, 1), (slow, 6)], now)[2:4] == (slow, None)


def test_a_cost_above_one_burst_is_never_worth_waiting_for_whatever_the_others_say() -> None:
    other = Limit("key:b", "tokens", 1000)
    decision = reserve({FIVE.state_key: State(5, 0.0)}, [(FIVE, 1), (other, 1001)], second(0.0))
    assert (decision.allowed, decision.denied_by, decision.retry_after) == (False, other, None)


def test_a_limit_charged_twice_at_once_pays_twice() -> None:
    assert not reserve({}, [(FIVE, 3), (FIVE, 3)], second(0.0)).allowed
    assert reserve({}, [(FIVE, 3), (FIVE, 2)], second(0.0)).changes == {FIVE.state_key: State(5, 0.0)}
    settled = settle({FIVE.state_key: State(5, 0.0)}, [(FIVE, 3), (FIVE, 2)], {"requests": 1}, second(0), second(0))
    assert settled == {FIVE.state_key: State(2, 0.0)}


@pytest.mark.parametrize("kind", ["requests", "tokens", "concurrency"])
def test_an_amount_of_zero_admits_nothing(kind) -> None:
    closed = Limit("tenant:a", kind, 0)
    decision = reserve({}, [(closed, 1)], second(0.0))
    assert (decision.allowed, decision.retry_after) == (False, None)
    assert peek(None, closed, second(0.0)) == Standing(0, 0.0)
    assert wait_for(5.0, closed, 1, second(0.0)) == inf


@pytest.mark.parametrize("amount", [1, 3, 7, 100, 999, 1000])
@pytest.mark.parametrize("now", [0.0, 1234.567, 1.7e9, 1e15])
def test_a_burst_of_single_requests_gets_exactly_the_amount_whatever_the_clock_says(amount: int, now: float) -> None:
    limit = Limit("tenant:a", "requests", amount)
    states: dict[str, State] = {}
    admitted = 0
    for _ in range(amount + 5):
        decision = reserve(states, [(limit, 1)], second(now))
        states.update(decision.changes)
        admitted += decision.allowed
    assert admitted == amount


def test_absurd_amounts_lose_no_unit() -> None:
    limit = Limit("tenant:a", "tokens", 10**12)
    states = {limit.state_key: State(10**12 - 1, 1.7e9)}
    assert not reserve(states, [(limit, 2)], second(1.7e9)).allowed
    assert reserve(states, [(limit, 1)], second(1.7e9)).changes == {limit.state_key: State(10**12, 1.7e9)}
    assert peek(State(10**12 - 1, 1.7e9), limit, second(1.7e9)).remaining == 1


def test_a_changed_amount_keeps_what_was_spent() -> None:
    smaller = Limit("tenant:a", "requests", 4, period=5.0)
    states = {FIVE.state_key: State(3, 0.0)}
    assert reserve(states, [(smaller, 1)], second(0.0)).allowed
    assert not reserve(states, [(smaller, 2)], second(0.0)).allowed


def test_limits_share_a_state_only_where_subject_kind_period_and_pattern_agree() -> None:
    limits = [
        Limit("tenant:a", "requests", 5),
        Limit("tenant:b", "requests", 5),
        Limit("tenant:a", "tokens", 5),
        Limit("tenant:a", "tokens_per_month", 5),
        Limit("tenant:a", "concurrency", 5),
        Limit("tenant:a", "requests", 5, "bge*"),
        Limit("tenant:a", "requests", 5, period=86400.0),
    ]
    assert len({limit.state_key for limit in limits}) == len(limits)
    assert Limit("tenant:a", "requests", 9).state_key == limits[0].state_key == "tenant:a|requests|60|*"


def test_a_limit_counts_the_models_that_its_pattern_covers() -> None:
    limit = Limit("tenant:a", "requests", 5, "BAAI/*")
    assert limit.applies_to(("BAAI/bge-m3", "bge"))
    assert not limit.applies_to(("intfloat/e5",))


@pytest.mark.parametrize(("subject", "amount", "period"), [("a", -1, 60.0), ("a", 1, 0.0), ("a|b", 1, 60.0)])
def test_nonsense_limits_are_refused(subject: str, amount: int, period: float) -> None:
    with pytest.raises(ValueError, match="not a limit"):
        Limit(subject, "requests", amount, period=period)


def test_a_negative_cost_is_refused_and_can_not_fill_the_bucket() -> None:
    with pytest.raises(ValueError, match="negative"):
        reserve({FIVE.state_key: State(5, 0.0)}, [(FIVE, -1)], second(0.0))


def test_debt_is_kept_and_drains() -> None:
    assert spent_of(State(50, 100.0), FIVE, second(110.0)) == 40.0


def test_months_are_those_of_the_calendar() -> None:
    epoch = date(1970, 1, 1)
    for day in range(-800, 150_000):
        civil = epoch + timedelta(day)
        number = civil.year * 12 + civil.month - 1
        if civil.day in {1, 28, 29, 30, 31}:
            assert moment_of(day * 86400.0).month == moment_of(day * 86400.0 + 86399.9).month == number
        if civil.day == 1:
            assert month_start(number) == day * 86400.0
