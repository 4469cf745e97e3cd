import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.health import Health, HealthRule

steady = settings(deadline=None, derandomize=True, max_examples=300)

GOOD, BAD, BROKE, LEFT = "good", "bad", "broke", "left"


def tell(health: Health, what: str, now: float) -> None:
    {GOOD: health.good_look, BAD: health.bad_look, BROKE: health.broke_off, LEFT: lambda _: health.left()}[what](now)


@pytest.mark.parametrize(
    ("story", "well"),
    [
        ([], False),
        ([GOOD], True),
        ([BAD], False),
        ([BAD, GOOD], True),
        ([GOOD, BAD], True),
        ([GOOD, BAD, BAD], False),
        ([GOOD, BAD, GOOD, BAD, GOOD, BAD], True),
        ([GOOD, BROKE], False),
        ([GOOD, BROKE, GOOD], False),
        ([GOOD, BROKE, GOOD, GOOD], True),
        ([GOOD, BROKE, GOOD, BAD, GOOD], False),
        ([GOOD, BROKE, GOOD, BROKE, GOOD], False),
        ([GOOD, LEFT], False),
        ([GOOD, LEFT, GOOD], True),
        ([GOOD, BAD, BAD, GOOD, GOOD], True),
    ],
)
def test_what_a_node_did_says_whether_it_is_well(story, well):
    health = Health()
    for moment, what in enumerate(story):
        tell(health, what, float(moment))
    assert health.well is well


def test_a_node_that_falls_again_and_again_stays_away_for_longer_each_time_and_is_forgiven_in_the_end():
    health, now, waits = Health(HealthRule(calm=60.0, first_wait=0.5, longest_wait=8.0)), 0.0, []
    health.good_look(now)
    for _ in range(8):
        health.broke_off(now)
        fell = now
        while not health.well:
            now += 1 / 16
            health.good_look(now)
        waits.append(now - fell)
    assert waits == [0.125, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    now += 61.0
    health.broke_off(now)
    health.good_look(now)
    health.good_look(now)
    assert health.well


def test_leaving_in_order_is_not_held_against_a_node():
    health = Health()
    for moment in range(20):
        health.good_look(float(moment))
        assert health.well
        health.left()
        assert not health.well


stories = st.lists(st.tuples(st.sampled_from([GOOD, BAD, BROKE, LEFT]), st.floats(0.0, 5.0)), max_size=60)


@steady
@given(stories, st.integers(1, 4), st.integers(1, 4))
def test_whatever_happens_a_node_is_only_taken_for_well_on_good_looks_and_always_comes_back(story, bad, good):
    rule = HealthRule(bad_looks=bad, good_looks=good)
    health, now, bad_in_a_row = Health(rule), 0.0, 0
    for what, pause in story:
        before, now = health.well, now + pause
        tell(health, what, now)
        bad_in_a_row = 0 if what == GOOD else bad_in_a_row + (what == BAD)
        if health.well and not before:
            assert what == GOOD
            assert now >= health.back_from
        if before and not health.well:
            assert what in (BROKE, LEFT) or bad_in_a_row >= bad
        if what in (BROKE, LEFT):
            assert not health.well
    for _ in range(good):
        now += rule.longest_wait
        health.good_look(now)
    assert health.well
