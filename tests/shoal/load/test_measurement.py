import pytest

from shoal.load.measurement import latency, percentile


@pytest.mark.parametrize(
    ("ordered", "share", "expected"),
    [
        ([5.0], 0.5, 5.0),
        ([5.0], 0.99, 5.0),
        ([1.0, 2.0], 0.5, 1.5),
        ([1.0, 2.0, 3.0], 0.5, 2.0),
        ([0.0, 10.0, 20.0, 30.0, 40.0], 0.9, 36.0),
        ([1.0, 2.0, 3.0], 0.0, 1.0),
        ([1.0, 2.0, 3.0], 1.0, 3.0),
    ],
)
def test_percentiles_interpolate_between_neighbours(ordered, share, expected):
    assert percentile(ordered, share) == pytest.approx(expected)


def test_latency_is_in_milliseconds_and_in_any_order():
    spread = latency([0.003, 0.001, 0.002])
    assert spread is not None
    assert (spread.p50, spread.max) == (pytest.approx(2.0), pytest.approx(3.0))


def test_nothing_answered_has_no_latency():
    assert latency([]) is None
