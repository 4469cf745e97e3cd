import pytest

from benchmarks.exactness import Admitted, Span, most_at_once, most_within, promise_kept, share_filled, share_used


def at_once(times, cost=1):
    return [Admitted(time, time, cost) for time in times]


def test_a_rate_that_gives_its_burst_and_what_drains_keeps_its_promise_to_the_full():
    admitted = at_once([0.0] * 60 + [float(second) for second in range(1, 31)])
    assert promise_kept(admitted, 60, 60.0) == pytest.approx(1.0)
    assert share_used(admitted, 60, 60.0, 30.0) == pytest.approx(1.0)


def test_one_request_too_many_in_any_window_breaks_it():
    late = [100.0] * 60
    assert promise_kept(at_once([0.0, *late]), 60, 60.0) <= 1
    assert promise_kept(at_once([0.0, *late, 100.1]), 60, 60.0) > 1


def test_what_may_have_been_admitted_outside_of_a_window_is_not_held_against_it():
    admitted = [*at_once([10.0] * 60), Admitted(5.0, 10.0, 1)]
    assert promise_kept(admitted, 60, 60.0) <= 1


def test_the_most_in_a_stretch_is_found_wherever_it_lies():
    assert most_within(at_once([0.0, 50.0, 55.0, 61.0, 200.0], cost=2), 60.0) == 6


def test_places_are_counted_by_who_is_there_at_one_time():
    spans = [Span(0.0, 2.0), Span(1.0, 3.0), Span(2.0, 4.0)]
    assert most_at_once(spans) == 2
    assert share_filled(spans, 2, 1.0, 3.0) == 1.0
    assert share_filled(spans, 2, 0.0, 4.0) == 0.75
