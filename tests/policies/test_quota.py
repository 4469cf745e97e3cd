"""The arithmetic of one limit, row by row against a clock that the test holds."""

from math import inf

import pytest

from policies.quota import Limit, Standing, peek, refund, reserve, spend, wait_for

FIVE = Limit("tenant:a", "requests", 5, period=5.0)  # one unit a second


@pytest.mark.parametrize(
    ("tat", "now", "cost", "wait", "after"),
    [
        pytest.param(None, 100.0, 1, 0.0, 101.0, id="the first unit of an unused limit"),
        pytest.param(None, 100.0, 5, 0.0, 105.0, id="the whole burst at once"),
        pytest.param(None, 100.0, 6, inf, None, id="more than the burst never passes"),
        pytest.param(90.0, 100.0, 5, 0.0, 105.0, id="idle time saves up no more than the burst"),
        pytest.param(105.0, 100.0, 1, 1.0, None, id="used up: one unit drains in a second"),
        pytest.param(105.0, 100.0, 5, 5.0, None, id="used up: the whole burst drains in a period"),
        pytest.param(105.0, 101.0, 1, 0.0, 106.0, id="after a second one unit passes"),
        pytest.param(105.0, 101.0, 2, 1.0, None, id="after a second two do not"),
        pytest.param(103.5, 100.0, 1, 0.0, 104.5, id="half units drain too"),
        pytest.param(103.5, 100.0, 2, 0.5, None, id="and are waited for"),
        pytest.param(120.0, 100.0, 1, 16.0, None, id="debt is drained first"),
        pytest.param(105.0, 50.0, 1, 51.0, None, id="a clock that jumped back is stricter"),
        pytest.param(120.0, 100.0, 0, 0.0, None, id="nothing always passes, even in debt"),
        pytest.param(0.0, 0.0, 5, 0.0, 5.0, id="zero is a time like any other"),
    ],
)
def test_one_limit(tat: float | None, now: float, cost: int, wait: float, after: float | None) -> None:
    assert wait_for(tat, FIVE, cost, now) == wait
    states = {} if tat is None else {FIVE.state_key: tat}
    decision = reserve(states, [(FIVE, cost)], now)
    assert decision.allowed is (wait == 0.0)
    assert decision.changes == ({} if after is None else {FIVE.state_key: after})
    assert decision.retry_after == (wait if 0 < wait < inf else None)
    assert decision.denied_by is (FIVE if wait else None)


@pytest.mark.parametrize(
    ("tat", "now", "standing"),
    [
        (None, 100.0, Standing(5, 0.0)),
        (90.0, 100.0, Standing(5, 0.0)),
        (101.0, 100.0, Standing(4, 1.0)),
        (101.5, 100.0, Standing(3, 1.5)),
        (105.0, 100.0, Standing(0, 5.0)),
        (120.0, 100.0, Standing(0, 20.0)),
    ],
)
def test_standing_tells_what_is_left_and_when_all_is_free(tat: float | None, now: float, standing: Standing) -> None:
    assert peek(tat, FIVE, now) == standing


@pytest.mark.parametrize(
    ("tat", "reserved", "actual", "now", "after"),
    [
        pytest.param(105.0, 5, 5, 100.0, 105.0, id="as foreseen: unchanged"),
        pytest.param(105.0, 5, 2, 100.0, 102.0, id="the difference comes back"),
        pytest.param(105.0, 5, 0, 100.0, 100.0, id="all comes back"),
        pytest.param(105.0, 5, 7, 100.0, 107.0, id="more was used: debt"),
        pytest.param(102.0, 2, 4, 110.0, 112.0, id="debt is charged from now, not from the past"),
        pytest.param(105.0, 5, 0, 103.0, 103.0, id="what has drained is not given twice"),
        pytest.param(105.0, 5, 0, 110.0, 105.0, id="nothing to give back once all has drained"),
        pytest.param(None, 5, 2, 100.0, 100.0, id="a state that was dropped as drained is full"),
        pytest.param(None, 2, 5, 100.0, 103.0, id="and can be charged"),
    ],
)
def test_refund(tat: float | None, reserved: int, actual: int, now: float, after: float) -> None:
    assert refund(tat, FIVE, reserved, actual, now) == after


def test_standings_are_those_after_the_charge_and_unchanged_ones_after_a_denial() -> None:
    wide = Limit("tenant:a", "tokens", 100, period=100.0)
    decision = reserve({}, [(FIVE, 1), (wide, 40)], 0.0)
    assert decision.standings == ((FIVE, Standing(4, 1.0)), (wide, Standing(60, 40.0)))
    denied = reserve(decision.changes, [(FIVE, 1), (wide, 61)], 0.0)
    assert denied.standings == decision.standings


def test_a_denial_names_the_limit_that_denies_longest() -> None:
    slow = Limit("tenant:a", "tokens", 5, period=50.0)
    full = {FIVE.state_key: 5.0, slow.state_key: 50.0}
    decision = reserve(full, [(FIVE, 1), (slow, 1)], 0.0)
    assert (decision.denied_by, decision.retry_after) == (slow, 10.0)


def test_a_cost_above_one_burst_is_never_worth_waiting_for_whatever_the_others_say() -> None:
    other = Limit("key:b", "tokens", 1000)
    decision = reserve({FIVE.state_key: 5.0}, [(FIVE, 1), (other, 1001)], 0.0)
    assert (decision.allowed, decision.denied_by, decision.retry_after) == (False, other, None)


def test_a_limit_charged_twice_at_once_pays_twice() -> None:
    assert not reserve({}, [(FIVE, 3), (FIVE, 3)], 0.0).allowed
    assert reserve({}, [(FIVE, 3), (FIVE, 2)], 0.0).changes == {FIVE.state_key: 5.0}


def test_an_amount_of_zero_admits_nothing() -> None:
    closed = Limit("tenant:a", "requests", 0)
    decision = reserve({}, [(closed, 1)], 0.0)
    assert (decision.allowed, decision.retry_after) == (False, None)
    assert peek(None, closed, 0.0) == Standing(0, 0.0)


@pytest.mark.parametrize("amount", [1, 3, 7, 100, 999, 1000])
@pytest.mark.parametrize("now", [0.0, 1234.567, 1.7e9])
def test_a_burst_of_single_requests_gets_exactly_the_amount(amount: int, now: float) -> None:
    limit = Limit("tenant:a", "requests", amount)
    states: dict[str, float] = {}
    admitted = 0
    for _ in range(amount + 5):
        decision = reserve(states, [(limit, 1)], now)
        states.update(decision.changes)
        admitted += decision.allowed
    # The calendar's clock is coarse (2⁻²² s): sums of more than some hundred units may miss one, towards refusal.
    assert admitted == amount or (now > 1e9 and amount > 500 and admitted == amount - 1)


def test_limits_share_a_state_only_where_subject_kind_period_and_pattern_agree() -> None:
    limits = [
        Limit("tenant:a", "requests", 5),
        Limit("tenant:b", "requests", 5),
        Limit("tenant:a", "tokens", 5),
        Limit("tenant:a", "requests", 5, "bge*"),
        Limit("tenant:a", "requests", 5, period=86400.0),
    ]
    assert len({limit.state_key for limit in limits}) == len(limits)
    assert Limit("tenant:a", "requests", 9).state_key == limits[0].state_key


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
        reserve({FIVE.state_key: 5.0}, [(FIVE, -1)], 0.0)


def test_spending_without_asking_may_pass_the_limit() -> None:
    assert spend(105.0, FIVE, 3, 100.0) == 108.0
