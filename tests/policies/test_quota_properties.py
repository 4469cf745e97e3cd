"""What holds for every sequence of reservations: the bound, all or nothing, refunds, clocks that jump."""

from itertools import accumulate

from hypothesis import given, settings
from hypothesis import strategies as st

from policies.quota import ROUNDING, Limit, peek, refund, reserve

steady = settings(deadline=None, derandomize=True, max_examples=300)

amounts = st.integers(1, 40)
periods = st.sampled_from([1.0, 7.0, 60.0])
starts = st.sampled_from([0.0, 1234.567, 1.7e9])
gaps = st.one_of(st.just(0.0), st.floats(0.0, 3.0), st.floats(0.0, 90.0))
steps = st.lists(st.tuples(gaps, st.integers(0, 12)), max_size=40)
binary_amounts = st.sampled_from([1, 2, 4, 8, 16, 32, 64])
"""With a period of 64 s and whole seconds every sum is exact."""


def bound(limit: Limit, window: float) -> float:
    return limit.amount + limit.amount * window / limit.period + ROUNDING


@steady
@given(amounts, periods, starts, steps)
def test_never_admits_more_than_the_amount_and_its_rate_over_any_window(amount, period, start, steps) -> None:
    limit = Limit("tenant:a", "tokens", amount, period=period)
    states: dict[str, float] = {}
    admitted: list[tuple[float, int]] = []
    for now, (_, cost) in zip(accumulate((gap for gap, _ in steps), initial=start), steps, strict=False):
        decision = reserve(states, [(limit, cost)], now)
        states.update(decision.changes)
        if decision.allowed:
            admitted.append((now, cost))
    for first in range(len(admitted)):
        total = 0
        for at, cost in admitted[first:]:
            total += cost
            assert total <= bound(limit, at - admitted[first][0])


@steady
@given(amounts, st.lists(st.tuples(st.floats(-50.0, 50.0), st.integers(1, 12)), min_size=1, max_size=40))
def test_a_clock_that_jumps_back_admits_no_extra(amount, steps) -> None:
    limit = Limit("tenant:a", "tokens", amount, period=10.0)
    states: dict[str, float] = {}
    now, times, total = 1000.0, [], 0
    for jump, cost in steps:
        now += jump
        times.append(now)
        decision = reserve(states, [(limit, cost)], now)
        states.update(decision.changes)
        total += cost * decision.allowed
    assert total <= bound(limit, max(times) - min(times))


@steady
@given(amounts, st.floats(0.0, 100.0), st.integers(1, 40), st.floats(0.001, 1000.0))
def test_setting_the_clock_back_never_lets_pass_what_was_refused(amount, ahead, cost, jump) -> None:
    limit = Limit("tenant:a", "tokens", amount)
    states = {limit.state_key: 5000.0 + ahead}
    if not reserve(states, [(limit, cost)], 5000.0).allowed:
        assert not reserve(states, [(limit, cost)], 5000.0 - jump).allowed


@steady
@given(st.lists(st.tuples(amounts, st.integers(0, 20)), min_size=1, max_size=6), st.lists(gaps, max_size=20))
def test_several_limits_are_charged_all_or_none(rules, gaps) -> None:
    charges = [(Limit(f"key:{n}", "tokens", amount), cost) for n, (amount, cost) in enumerate(rules)]
    states: dict[str, float] = {}
    for now in accumulate(gaps, initial=0.0):
        before = dict(states)
        decision = reserve(states, charges, now)
        assert states == before
        alone = [reserve(states, [charge], now).allowed for charge in charges]
        assert decision.allowed is all(alone)
        charged = {limit.state_key for limit, cost in charges if cost}
        assert set(decision.changes) == (charged if decision.allowed else set())
        states.update(decision.changes)


@steady
@given(amounts, periods, starts, steps)
def test_waiting_as_told_is_enough_and_nothing_less_is(amount, period, start, steps) -> None:
    limit = Limit("tenant:a", "tokens", amount, period=period)
    states: dict[str, float] = {}
    now = start
    for gap, cost in steps:
        now += gap
        decision = reserve(states, [(limit, cost)], now)
        if decision.allowed:
            states.update(decision.changes)
        elif decision.retry_after is None:
            assert cost > amount
            assert not reserve({}, [(limit, cost)], now).allowed
        else:
            assert reserve(states, [(limit, cost)], now + decision.retry_after).allowed
            early = decision.retry_after - 2 * ROUNDING * limit.interval
            assert early <= 0 or not reserve(states, [(limit, cost)], now + early).allowed


@steady
@given(amounts, starts, steps)
def test_what_is_said_to_remain_is_what_passes(amount, start, steps) -> None:
    limit = Limit("tenant:a", "tokens", amount)
    states: dict[str, float] = {}
    for now, (_, cost) in zip(accumulate((gap for gap, _ in steps), initial=start), steps, strict=False):
        remaining = peek(states.get(limit.state_key), limit, now).remaining
        assert 0 <= remaining <= amount
        # The coarser the clock's numbers, the further a sum may miss a whole unit.
        if abs(now) < 1e6:
            assert reserve(states, [(limit, remaining)], now).allowed
            assert not reserve(states, [(limit, remaining + 1)], now).allowed
        states.update(reserve(states, [(limit, cost)], now).changes)


@steady
@given(binary_amounts, st.integers(0, 64), st.integers(0, 64), st.integers(0, 64))
def test_a_full_refund_restores_the_state_to_the_bit(amount, ahead, cost, elapsed) -> None:
    limit = Limit("tenant:a", "tokens", amount, period=64.0)
    now = 4096.0
    for before in (None, now - 7, now + ahead):
        states = {} if before is None else {limit.state_key: before}
        decision = reserve(states, [(limit, cost)], now)
        if decision.changes:
            later = now + elapsed
            restored = refund(decision.changes[limit.state_key], limit, cost, 0, later)
            assert max(restored, later) == max(before or 0.0, later)
            assert peek(restored, limit, later) == peek(before, limit, later)


@steady
@given(amounts, starts, st.floats(0.0, 60.0), st.integers(1, 40), st.integers(0, 40))
def test_a_refund_leaves_the_state_as_if_only_the_truth_had_been_reserved(amount, start, ahead, cost, actual) -> None:
    limit = Limit("tenant:a", "tokens", amount)
    states = {limit.state_key: start + ahead}
    decision = reserve(states, [(limit, cost)], start)
    if decision.allowed and actual <= cost:
        settled = refund(decision.changes[limit.state_key], limit, cost, actual, start)
        truth = reserve(states, [(limit, actual)], start).changes.get(limit.state_key, start + ahead)
        assert abs(settled - truth) <= 4e-6


@steady
@given(
    binary_amounts,
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 16), st.integers(0, 16), st.integers(0, 6)), max_size=30),
)
def test_what_is_used_stays_in_the_bound_of_the_window_and_the_longest_reservation(amount, requests) -> None:
    limit = Limit("tenant:a", "tokens", amount, period=64.0)
    tat: float | None = None
    now, used, open_until = 0.0, [], []
    for gap, cost, spent, lasting in requests:
        now += gap
        for entry in sorted(open_until):
            if entry[0] <= now:
                tat = refund(tat, limit, entry[1], entry[2], entry[0])
                open_until.remove(entry)
        decision = reserve({} if tat is None else {limit.state_key: tat}, [(limit, cost)], now)
        if decision.allowed:
            tat = decision.changes[limit.state_key]
            used.append((now, min(cost, spent)))
            open_until.append((now + lasting, cost, min(cost, spent)))
    longest = max((lasting for *_, lasting in requests), default=0)
    for first in range(len(used)):
        total = 0
        for at, spent in used[first:]:
            total += spent
            assert total <= bound(limit, at - used[first][0] + longest)


@steady
@given(amounts, periods, steps)
def test_the_same_requests_at_the_same_times_are_decided_alike(amount, period, steps) -> None:
    limit = Limit("tenant:a", "tokens", amount, period=period)

    def replay() -> list[object]:
        states: dict[str, float] = {}
        decisions = []
        for now, (_, cost) in zip(accumulate((gap for gap, _ in steps), initial=0.0), steps, strict=False):
            decision = reserve(states, [(limit, cost)], now)
            states.update(decision.changes)
            decisions.append(decision)
        return decisions

    assert replay() == replay()
