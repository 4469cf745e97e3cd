import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.scheduling.lanes import LEAST_TOKENS, RAMP, SHORT, SMALL, LaneShare


@pytest.mark.parametrize(
    ("interactive", "bulk", "lane"),
    [(0, 0, None), (1, 0, "interactive"), (0, 1, "bulk"), (1, 1, "interactive"), (1, 10**9, "interactive")],
)
def test_interactive_goes_first(interactive, bulk, lane):
    assert LaneShare(100).next(interactive=interactive, bulk=bulk) == lane


def test_bulk_ages_by_what_overtakes_it():
    share = LaneShare(100, 0.1)
    lanes = []
    for _ in range(10):
        share.arrived("interactive")
        lane = share.next(interactive=100, bulk=1000)
        lanes.append(lane[0])
        share.took(lane, 100 if lane == "interactive" else share.budget("bulk"), other_waits=True)
    assert "".join(lanes) == "iiibiibiib"


def test_little_bulk_work_waits_little():
    share = LaneShare(100, 0.1)
    share.took("interactive", 90, other_waits=True)
    assert share.next(interactive=1, bulk=10) == "bulk"
    assert share.next(interactive=1, bulk=11) == "interactive"


def test_nothing_is_saved_up_or_owed_from_a_time_when_one_lane_was_empty():
    share = LaneShare(100, 0.5)
    share.took("interactive", 10_000, other_waits=False)
    assert share.next(interactive=1, bulk=1) == "interactive"
    share.took("bulk", 10_000, other_waits=True)
    share.took("bulk", 10, other_waits=False)
    share.took("interactive", 1, other_waits=True)
    assert share.next(interactive=1, bulk=1) == "bulk"


def test_a_debt_outlives_a_moment_without_bulk_work():
    share = LaneShare(100, 0.5)
    share.took("bulk", 500, other_waits=True)
    share.took("interactive", 400, other_waits=False)
    share.took("interactive", 99, other_waits=True)
    assert share.next(interactive=1, bulk=1) == "interactive"


def test_bulk_batches_are_small_among_interactive_work_and_grow_without_it():
    share = LaneShare(512)
    assert share.budget("bulk") == 512
    share.arrived("interactive")
    sizes = []
    for undisturbed in (1000, 1000, 1000, 2000):
        sizes.append(share.budget("bulk"))
        share.took("bulk", undisturbed, other_waits=False)
    assert sizes == [512 // SMALL, 512 // SMALL, 2000 // RAMP, 3000 // RAMP]
    share.arrived("bulk")
    assert share.budget("bulk") == share.budget("interactive") == 512


@pytest.mark.parametrize(
    ("speed", "budget"),
    [(10**6, 8192 // SMALL), (40_000, 40_000 * SHORT), (100, LEAST_TOKENS)],
)
def test_among_interactive_work_a_bulk_batch_takes_no_longer_than_people_notice(speed, budget):
    share = LaneShare(8192)
    share.arrived("interactive")
    share.measured(speed)
    assert share.budget("bulk") == budget
    assert share.budget("interactive") == 8192


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 1.5])
def test_a_share_that_starves_a_lane_is_refused(share):
    with pytest.raises(ValueError, match="share"):
        LaneShare(100, share)


@given(
    st.floats(0.05, 0.95),
    st.integers(1, 600),
    st.lists(st.tuples(st.integers(1, 700), st.integers(1, 700), st.booleans()), max_size=200),
)
def test_while_both_wait_each_lane_gets_its_share(bulk_share, batch_tokens, batches):
    """Bound: bulk tokens differ from earning * interactive tokens by at most (1 + earning) * the greatest batch."""
    share = LaneShare(batch_tokens, bulk_share)
    earning = bulk_share / (1 - bulk_share)
    taken = {"interactive": 0, "bulk": 0}
    for waiting, tokens, arrives in batches:
        if arrives:
            share.arrived("interactive")
        lane = share.next(interactive=waiting, bulk=waiting)
        taken[lane] += tokens
        share.took(lane, tokens, other_waits=True)
        greatest = max(700, batch_tokens)
        assert abs(taken["bulk"] - earning * taken["interactive"]) <= (1 + earning) * greatest + 1e-6
