"""When a request is tried again, by what the server says."""

import email.utils

import pytest

from shoal.client.retrying import asked_for, may_ask_again, wait_before

NOW = 1_790_000_000.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "150", "retry-after": "1"}, 0.15),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "soon", "retry-after": "3"}, 3.0),
        ({"retry-after": email.utils.formatdate(NOW + 7, usegmt=True)}, 7.0),
        ({"retry-after": email.utils.formatdate(NOW - 7, usegmt=True)}, 0.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_what_the_server_asks_for(headers, seconds):
    assert asked_for(headers, NOW) == seconds


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504])
def test_what_may_go_better_the_next_time(status):
    assert may_ask_again(status, {})
    assert not may_ask_again(status, {"x-should-retry": "false"})


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_what_will_not(status):
    assert not may_ask_again(status, {})
    assert may_ask_again(status, {"x-should-retry": "true"})


def test_waits_double_up_to_a_bound_and_are_spread():
    longest = [wait_before(attempt, None, 60.0, 0.0) for attempt in range(7)]
    assert longest == [0.5, 1, 2, 4, 8, 8, 8]
    assert wait_before(3, None, 60.0, 0.999) == pytest.approx(3.0, abs=0.01)
    assert wait_before(2000, None, 60.0, 0.0) == 8


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.999])
def test_a_wait_that_was_named_is_never_made_shorter(chance):
    assert 20 <= wait_before(0, 20.0, 60.0, chance) < 20.5
    assert 0.15 <= wait_before(0, 0.15, 60.0, chance) < 0.19


def test_a_wait_that_is_too_long_is_no_wait():
    assert wait_before(0, 60.1, 60.0, 0.0) is None
