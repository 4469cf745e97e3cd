import pytest

from benchmarks.scheduler import Passed, _idleness, _overhead_step, _take_step


def test_idle_time_is_counted_for_each_worker_and_apart_where_nothing_waited():
    passes = [
        Passed(1, 0.0, 4.0, 100, waiting=True),
        Passed(2, 0.0, 5.0, 100, waiting=False),
        Passed(1, 4.5, 8.0, 100, waiting=True),
        Passed(2, 7.0, 9.5, 200, waiting=True),
    ]
    found = _idleness(passes)
    assert found["gap"] == pytest.approx(0.5 / 15)
    assert found["all gaps"] == pytest.approx(2.5 / 15)
    assert found["tokens_per_second"] == pytest.approx(500 / 9.5)


def test_a_request_costs_little_while_a_thousand_wait():
    """The target is 40 µs on an idle machine; a busy one gets ten times that here."""
    assert _overhead_step(1000, 10, 1)()["microseconds"] < 400


def test_taking_a_batch_does_not_grow_with_what_waits():
    few, many = _take_step(1000, 1, 1)()["microseconds"], _take_step(100_000, 1000, 200)()["microseconds"]
    assert many < 20 * few
