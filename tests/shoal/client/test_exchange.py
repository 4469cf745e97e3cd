"""The walk of one request from its first try to its end, without a network and without time."""

import json

import pytest

from shoal.client.errors import BadReply, RateLimited, Refused, ServerFailed, TimedOut, Unreachable
from shoal.client.exchange import Answer, Pace, Request, Send, Wait, exchange
from shoal.client.settings import ClientSettings

REQUEST = Request("/v1/embeddings", {"input": ["é"]})
GOOD = Answer(200, {}, b'{"fine": true}')


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def pace(clock):
    return Pace(clock, lambda: 1_790_000_000.0, lambda: 0.0)


def walk(outcomes, clock, pace, **options):
    """The steps of a request with these outcomes, and what it ends with."""
    steps, told, taken = exchange(REQUEST, ClientSettings(**options), pace), None, []
    outcomes = iter(outcomes)
    while True:
        try:
            step = steps.send(told)
        except StopIteration as end:
            return taken, end.value
        taken.append(step)
        if isinstance(step, Wait):
            clock.now += step.seconds
        told = next(outcomes) if isinstance(step, Send) else None


def refused(status, **headers):
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, b'{"message": "no"}')


def test_a_good_answer_is_the_end(clock, pace):
    assert walk([GOOD], clock, pace) == ([Send(REQUEST)], {"fine": True})


def test_bodies_are_utf8():
    assert json.loads(REQUEST.content) == {"input": ["é"]}
    assert "é".encode() in REQUEST.content


def test_the_server_says_when(clock, pace):
    taken, _ = walk([refused(503, retry_after_ms="1500"), GOOD], clock, pace)
    assert taken == [Send(REQUEST), Wait(1.5), Send(REQUEST)]


def test_a_broken_connection_and_a_silent_one_are_tried_again(clock, pace):
    taken, reply = walk([Unreachable("gone"), TimedOut("slow"), None, GOOD], clock, pace)
    assert [step.seconds for step in taken if isinstance(step, Wait)] == [0.5, 1, 2]
    assert reply == {"fine": True}


def test_tries_are_counted(clock, pace):
    outcomes = [refused(500)] * 10
    with pytest.raises(ServerFailed):
        walk(outcomes, clock, pace, max_retries=3)
    assert clock.now == 0.5 + 1 + 2
    with pytest.raises(Unreachable):
        walk([Unreachable("gone")], clock, pace, max_retries=0)


@pytest.mark.parametrize(
    "last", [refused(400), refused(429, x_should_retry="false"), refused(429, retry_after="3600")], ids=str
)
def test_what_is_of_no_use_is_not_tried(clock, pace, last):
    with pytest.raises(Refused):
        walk([last], clock, pace)
    assert clock.now == 0


def test_the_error_says_when_it_may_be_tried(clock, pace):
    with pytest.raises(RateLimited) as caught:
        walk([refused(429, retry_after="3600", x_request_id="req_1")], clock, pace)
    assert caught.value.retry_after == 3600
    assert caught.value.request_id == "req_1"


def test_an_answer_that_is_no_json_is_not_one_of_shoals(clock, pace):
    with pytest.raises(BadReply, match="Shoal"):
        walk([Answer(200, {}, b"<html>")], clock, pace)


def test_one_that_is_told_to_wait_makes_new_ones_wait(clock, pace):
    first = exchange(REQUEST, ClientSettings(), pace)
    assert next(first) == Send(REQUEST)
    assert first.send(refused(429, retry_after="10")) == Wait(10)
    second = exchange(REQUEST, ClientSettings(), pace)
    assert next(second) == Wait(20)


def test_those_that_are_told_at_once_come_back_one_after_another(clock, pace):
    walks = [exchange(REQUEST, ClientSettings(), pace) for _ in range(3)]
    for one in walks:
        next(one)
    waits = [one.send(refused(429, retry_after="10")).seconds for one in walks]
    assert waits == [10, 20, 30]
    clock.now = 10
    assert walks[0].send(None) == Send(REQUEST)


def test_nobody_waits_longer_than_was_said(clock, pace):
    settings = ClientSettings(max_wait=25)
    walks = [exchange(REQUEST, settings, pace) for _ in range(4)]
    for one in walks:
        next(one)
    assert [one.send(refused(429, retry_after="10")).seconds for one in walks] == [10, 20, 25, 25]
    assert next(exchange(REQUEST, settings, pace)) == Wait(25)


def test_a_failure_of_one_is_nothing_to_the_others(clock, pace):
    first = exchange(REQUEST, ClientSettings(), pace)
    next(first)
    assert first.send(refused(500)) == Wait(0.5)
    assert next(exchange(REQUEST, ClientSettings(), pace)) == Send(REQUEST)
