"""What holds for every sequence of reservations: the bound, all or nothing, refunds, clocks that jump."""

from itertools import accumulate

from hypothesis import given, settings
from hypothesis import strategies as st

from policies.quota import ROUNDING, Limit, Moment, State, moment_of, month_start, peek, reserve, settle, spent_of

steady = settings(deadline=None, derandomize=True, max_examples=300)

amounts = st.integers(1, 40)
periods = st.sampled_from([1.0, 7.0, 60.0])
starts = st.sampled_from([0.0, 1234.567, 1.7e9])
gaps = st.one_of(st.just(0.0), st.floats(0.0, 3.0), st.floats(0.0, 90.0))
steps = st.lists(st.tuples(gaps, st.integers(0, 12)), max_size=40)
binary_amounts = st.sampled_from([1, 2, 4, 8, 16, 32, 64])
"""With a period of 64 s and whole seconds every sum is exact."""
kinds = st.sampled_from(["requests", "tokens", "tokens_per_month", "concurrency"])


def second(now: float) -> Moment:
    return Moment(now, 24322)


def seeded(limits) -> dict[str, State]:
    return {limit.state_key: State(0, 24322) for limit in limits if limit.kind == "tokens_per_month"}


def bound(limit: Limit, window: float) -> float:
    return limit.amount + limit.amount * window / limit.period + ROUNDING


@steady
@given(amounts, periods, starts, steps)
def test_never_admits_more_than_the_amount_and_its_rate_over_any_window(amount, period, start, steps) -> None:
    limit = Limit("tenant:a", "tokens", amount, period=period)
    states: dict[str, State] = {}
    admitted: list[tuple[float, int]] = []
    for now, (_, cost) in zip(accumulate((gap for gap, _ in steps), initial=start), steps, strict=False):
        decision = reserve(states, [(limit, cost)], second(now))
        states.update(decision.changes)
        if decision.allowed:
            admitted.append((now, cost))
    for first in range(len(admitted)):
        total = 0
        for at, cost in admitted[first:]:
            total += cost
            assert total <= bound(limit, at - admitted[first][0])


@steady
@given(amounts, st.lists(st.tuples(st.floats(-1e6, 90.0), st.integers(1, 12)), min_size=1, max_size=40))
def test_a_clock_that_jumps_either_way_admits_what_drained_while_it_went_forward(amount, steps) -> None:
    limit = Limit("tenant:a", "tokens", amount, period=10.0)
    states: dict[str, State] = {}
    now, forward, total = 1000.0, 0.0, 0
    for jump, cost in steps:
        now += jump
        forward += max(jump, 0.0)
        decision = reserve(states, [(limit, cost)], second(now))
        states.update(decision.changes)
        total += cost * decision.allowed
    assert total <= bound(limit, forward)


@steady
@given(amounts, st.integers(1, 80), st.integers(1, 40), st.floats(0.001, 1e9))
def test_setting_the_clock_back_lets_pass_no_more_and_stops_nobody_for_longer(amount, spent, cost, jump) -> None:
    limit = Limit("tenant:a", "tokens", amount)
    states = {limit.state_key: State(spent, 5000.0)}
    before = reserve(states, [(limit, cost)], second(5000.0))
    after = reserve(states, [(limit, cost)], second(5000.0 - jump))
    assert (after.allowed, after.denied_by, after.retry_after) == (before.allowed, before.denied_by, before.retry_after)
    if not after.allowed:
        assert after.changes == {limit.state_key: State(spent, 5000.0 - jump)}


@steady
@given(st.lists(st.tuples(kinds, amounts, st.integers(0, 20)), min_size=1, max_size=6), st.lists(gaps, max_size=20))
def test_several_limits_are_charged_all_or_none(rules, gaps) -> None:
    charges = [(Limit(f"key:{n}", kind, amount), cost) for n, (kind, amount, cost) in enumerate(rules)]
    states = seeded(limit for limit, _ in charges)
    for now in accumulate(gaps, initial=0.0):
        before = dict(states)
        decision = reserve(states, charges, second(now))
        assert states == before
        alone = [reserve(states, [charge], second(now)).allowed for charge in charges]
        assert decision.allowed is all(alone)
        charged = {limit.state_key for limit, cost in charges if cost}
        assert set(decision.changes) == (charged if decision.allowed else set())
        states.update(decision.changes)


@steady
@given(
    st.lists(st.tuples(kinds, amounts), min_size=1, max_size=6),
    st.lists(st.tuples(gaps, st.integers(0, 12), st.integers(0, 14), st.booleans()), max_size=30),
)
def test_what_is_counted_is_never_below_nothing_and_places_are_those_that_are_taken(rules, requests) -> None:
    limits = [Limit(f"key:{n}", kind, amount) for n, (kind, amount) in enumerate(rules)]
    states, under_way = seeded(limits), []
    now = 0.0
    for gap, cost, used, ends in requests:
        now += gap
        charges = [(limit, 1 if limit.kind in {"requests", "concurrency"} else cost) for limit in limits]
        decision = reserve(states, charges, second(now))
        states.update(decision.changes)
        if decision.allowed:
            spent = {"requests": 1, "tokens": used, "tokens_per_month": used}
            under_way.append((charges, spent, second(now)))
        if ends and under_way:
            charges, spent, since = under_way.pop(0)
            states.update(settle(states, charges, spent, since, second(now)))
        assert all(state.spent >= 0 for state in states.values())
        for limit in limits:
            if limit.kind == "concurrency":
                assert states.get(limit.state_key, State(0, 0)).spent == len(under_way) <= limit.amount


@steady
@given(
    st.integers(1, 500), st.lists(st.tuples(st.integers(0, 20), st.integers(0, 60), st.integers(0, 80)), max_size=40)
)
def test_every_month_pays_for_what_was_reserved_in_it_and_admits_no_more(amount, requests) -> None:
    limit = Limit("tenant:a", "tokens_per_month", amount)
    start = moment_of(1.77e9)
    states = {limit.state_key: State(0, start.month)}
    paid: dict[int, int] = {}
    days = 0
    for gap, cost, used in requests:
        days += gap
        now = moment_of(start.seconds + days * 86400)
        decision = reserve(states, [(limit, cost)], now)
        assert decision.allowed is (cost == 0 or paid.get(now.month, 0) + cost <= amount)
        states.update(decision.changes)
        if decision.allowed and cost:
            later = moment_of(now.seconds + 86400)
            states.update(settle(states, [(limit, cost)], {"tokens_per_month": used}, now, later))
            paid[now.month] = paid.get(now.month, 0) + used
            assert spent_of(states[limit.state_key], limit, now) == paid[now.month]


@steady
@given(st.floats(-6e10, 2.5e11))
def test_a_moment_lies_in_its_month(now) -> None:
    month = moment_of(now).month
    assert month_start(month) <= now < month_start(month + 1)


@steady
@given(amounts, periods, starts, steps)
def test_waiting_as_told_is_enough_and_nothing_less_is(amount, period, start, steps) -> None:
    limit = Limit("tenant:a", "tokens", amount, period=period)
    states: dict[str, State] = {}
    now = start
    for gap, cost in steps:
        now += gap
        decision = reserve(states, [(limit, cost)], second(now))
        if decision.allowed:
            states.update(decision.changes)
        elif decision.retry_after is None:
            assert cost > amount
            assert not reserve({}, [(limit, cost)], second(now)).allowed
        else:
            assert reserve(states, [(limit, cost)], second(now + decision.retry_after)).allowed
            early = decision.retry_after - 2 * ROUNDING / limit.rate
            assert early <= 0 or not reserve(states, [(limit, cost)], second(now + early)).allowed


@steady
@given(amounts, starts, steps)
def test_what_is_said_to_remain_is_what_passes(amount, start, steps) -> None:
    limit = Limit("tenant:a", "tokens", amount)
    states: dict[str, State] = {}
    for now, (_, cost) in zip(accumulate((gap for gap, _ in steps), initial=start), steps, strict=False):
        remaining = peek(states.get(limit.state_key), limit, second(now)).remaining
        assert 0 <= remaining <= amount
        assert reserve(states, [(limit, remaining)], second(now)).allowed
        assert not reserve(states, [(limit, remaining + 1)], second(now)).allowed
        states.update(reserve(states, [(limit, cost)], second(now)).changes)


@steady
@given(binary_amounts, st.integers(0, 64), st.integers(1, 64), st.integers(0, 64))
def test_a_full_refund_restores_the_state_to_the_bit(amount, spent, cost, elapsed) -> None:
    limit = Limit("tenant:a", "tokens", amount, period=64.0)
    now, later = second(4096.0), second(4096.0 + elapsed)
    for before in (None, State(spent, 4089.0), State(spent, 4096.0)):
        states = {} if before is None else {limit.state_key: before}
        decision = reserve(states, [(limit, cost)], now)
        if decision.allowed:
            restored = settle(decision.changes, [(limit, cost)], {"tokens": 0}, now, later)[limit.state_key]
            assert spent_of(restored, limit, later) == spent_of(before, limit, later)
            assert peek(restored, limit, later) == peek(before, limit, later)


@steady
@given(amounts, starts, st.integers(0, 60), st.integers(1, 40), st.integers(0, 80))
def test_settling_leaves_the_state_as_if_only_the_truth_had_been_reserved(amount, start, spent, cost, used) -> None:
    limit = Limit("tenant:a", "tokens", amount)
    decision = reserve({limit.state_key: State(spent, start)}, [(limit, cost)], second(start))
    if decision.allowed:
        settled = settle(decision.changes, [(limit, cost)], {"tokens": used}, second(start), second(start))
        assert settled == {limit.state_key: State(spent + used, start)}


@steady
@given(
    binary_amounts,
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 16), st.integers(0, 16), st.integers(0, 6)), max_size=30),
)
def test_what_is_used_stays_in_the_bound_of_the_window_and_the_longest_reservation(amount, requests) -> None:
    limit = Limit("tenant:a", "tokens", amount, period=64.0)
    states: dict[str, State] = {}
    now, used, open_until = 0.0, [], []
    for gap, cost, spent, lasting in requests:
        now += gap
        for entry in sorted(open_until):
            if entry[0] <= now:
                charges = [(limit, entry[1])]
                states.update(settle(states, charges, {"tokens": entry[2]}, second(0), second(entry[0])))
                open_until.remove(entry)
        decision = reserve(states, [(limit, cost)], second(now))
        if decision.allowed:
            states.update(decision.changes)
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
        states: dict[str, State] = {}
        decisions = []
        for now, (_, cost) in zip(accumulate((gap for gap, _ in steps), initial=0.0), steps, strict=False):
            decision = reserve(states, [(limit, cost)], second(now))
            states.update(decision.changes)
            decisions.append(decision)
        return decisions

    assert replay() == replay()
