import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.breaker import Breaker, BreakerRule

steady = settings(deadline=None, derandomize=True, max_examples=300)

RULE = BreakerRule(failures=3, share=0.5, window=10.0, first=1.0, longest=8.0, jitter=0.5)


def call(breaker: Breaker, now: float, failed: bool | None, draw: float = 0.0) -> None:
    breaker.end(breaker.begin(now), failed, now, draw)


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker(RULE)
    for _ in range(3):
        call(breaker, now, True)
    assert breaker.state(now) == "open"
    return breaker


@pytest.mark.parametrize(
    ("calls", "state"),
    [
        ("", "closed"),
        ("xx", "closed"),
        ("xxx", "open"),
        ("..xxx", "open"),
        ("....xxx", "closed"),
        ("....xxxx", "open"),
        ("x.x.x", "open"),
        ("x??x", "closed"),
        ("x??xx", "open"),
    ],
)
def test_failures_open_it_once_they_are_enough_and_most(calls, state):
    breaker = Breaker(RULE)
    for outcome in calls:
        call(breaker, 0.0, {"x": True, ".": False, "?": None}[outcome])
    assert breaker.state(0.0) == state


def test_failures_further_apart_than_the_window_never_open_it():
    breaker = Breaker(RULE)
    for turn in range(100):
        call(breaker, turn * 5.0, True)
        assert breaker.admits(turn * 5.0) is True


def test_open_it_admits_nothing_then_one_call_and_a_good_one_closes_it():
    breaker = opened()
    assert not breaker.admits(0.99)
    assert breaker.state(1.0) == "half_open"
    assert breaker.admits(1.0)
    trial = breaker.begin(1.0)
    assert not breaker.admits(1.0)
    breaker.end(trial, False, 1.1, 0.0)
    assert breaker.state(1.1) == "closed"
    assert breaker.admits(1.1)


def test_a_failed_trial_opens_it_for_twice_as_long_up_to_the_longest():
    breaker, now, waits = opened(), 0.0, []
    for _ in range(6):
        waits.append(breaker.open_until - now)
        now = breaker.open_until
        call(breaker, now, True)
    assert waits == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_a_node_that_fails_again_soon_after_it_was_closed_is_left_alone_for_longer_and_forgiven_after_a_while():
    breaker = opened()
    call(breaker, 1.0, False)
    for _ in range(3):
        call(breaker, 2.0, True)
    assert breaker.open_until == 4.0
    call(breaker, 4.0, False)
    for _ in range(3):
        call(breaker, 20.0, True)
    assert breaker.open_until == 21.0


def test_chance_spreads_the_moments_at_which_gateways_try_again():
    ends = []
    for draw in (0.0, 0.5, 1.0):
        breaker = Breaker(RULE)
        for _ in range(3):
            call(breaker, 0.0, True, draw)
        ends.append(breaker.open_until)
    assert ends == [1.0, 1.25, 1.5]


def test_a_trial_whose_caller_left_says_nothing_and_the_next_call_is_the_trial():
    breaker = opened()
    call(breaker, 1.0, None)
    assert breaker.state(1.0) == "half_open"
    assert breaker.admits(1.0)


def test_what_began_before_it_opened_says_nothing_of_now():
    breaker = Breaker(RULE)
    late = [breaker.begin(0.0) for _ in range(10)]
    for ticket in late[:3]:
        breaker.end(ticket, True, 0.0, 0.0)
    for ticket in late[3:6]:
        breaker.end(ticket, False, 0.5, 0.0)
        breaker.end(ticket, True, 0.5, 0.0)
    assert breaker.open_until == 1.0
    trial = breaker.begin(1.0)
    breaker.end(late[7], False, 1.0, 0.0)
    assert breaker.state(1.0) == "half_open"
    assert not breaker.admits(1.0)
    breaker.end(trial, False, 1.0, 0.0)
    for ticket in late[7:]:
        breaker.end(ticket, True, 1.0, 0.0)
    assert breaker.state(1.0) == "closed"


def test_a_node_that_was_started_anew_begins_anew():
    breaker = opened()
    breaker.reset(0.1)
    assert breaker.admits(0.1)
    for _ in range(3):
        call(breaker, 0.2, True)
    assert breaker.open_until == pytest.approx(1.2)


steps = st.lists(
    st.tuples(
        st.sampled_from(["begin", "fail", "succeed", "leave"]),
        st.floats(0.0, 3.0),
        st.floats(0.0, 1.0),
        st.integers(0, 5),
    ),
    max_size=80,
)


@steady
@given(steps)
def test_whatever_happens_an_open_one_admits_one_call_at_most_and_always_admits_one_again(story):
    breaker, now, under_way = Breaker(RULE), 0.0, []
    trials = 0
    for what, pause, draw, which in story:
        now += pause
        before = breaker.open_until
        if what == "begin":
            admitted, state = breaker.admits(now), breaker.state(now)
            ticket = breaker.begin(now)
            if admitted:
                under_way.append((ticket, state))
                trials = trials + 1 if state == "half_open" else 0
            else:
                assert ticket == -1
            assert trials <= 1
            assert not (admitted and state == "open")
        elif under_way:
            ticket, state = under_way.pop(which % len(under_way))
            breaker.end(ticket, {"fail": True, "succeed": False, "leave": None}[what], now, draw)
            trials -= state == "half_open"
        if breaker.open_until is not None and breaker.open_until != before:
            assert RULE.first <= breaker.open_until - now <= RULE.longest * (1 + RULE.jitter)
            assert what == "fail"
        if before is not None and breaker.open_until is None:
            assert what == "succeed"
    for ticket, _ in under_way:
        breaker.end(ticket, None, now, 0.0)
    assert breaker.admits(now + RULE.longest * (1 + RULE.jitter))


@steady
@given(st.lists(st.booleans(), max_size=60))
def test_closed_it_stays_while_fewer_fail_than_the_rule_says(outcomes):
    breaker = Breaker(RULE)
    seen = []
    for failed in outcomes:
        call(breaker, 0.0, failed)
        seen.append(failed)
        if breaker.state(0.0) == "open":
            assert sum(seen) >= RULE.failures
            assert sum(seen) >= RULE.share * len(seen)
            return
        assert sum(seen) < RULE.failures or sum(seen) < RULE.share * len(seen)
