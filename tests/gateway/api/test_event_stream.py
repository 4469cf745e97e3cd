"""Events of a stream in whatever pieces they come: whole ones go on at once, and what they say is counted."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.event_stream import MOST_EVENT, EventStream, EventTooLong


def event(**chunk):
    return b"data: " + json.dumps({"model": "theirs", **chunk}).encode() + b"\n\n"


def said(text, index=0, finish=None):
    return event(choices=[{"index": index, "delta": {"content": text}, "finish_reason": finish}])


USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
WHOLE = said("a") + b": keep-alive\n\n" + said("b") + said("", finish="stop") + event(choices=[], usage=USAGE)
DONE = b"data: [DONE]\n\n"


def passed(stream, *pieces):
    return b"".join(event for piece in pieces for event in stream.feed(piece))


@given(st.lists(st.integers(0, len(WHOLE + DONE)), max_size=20))
def test_the_same_goes_on_however_it_is_cut(cuts):
    ends = sorted({0, *cuts, len(WHOLE + DONE)})
    pieces = [(WHOLE + DONE)[start:end] for start, end in pairwise(ends)]
    cut, whole = EventStream("ours", with_usage=False), EventStream("ours", with_usage=False)
    assert passed(cut, *pieces) == passed(whole, WHOLE + DONE)
    assert (cut.done, cut.complete, cut.heard, cut.usage.total_tokens) == (True, True, 2, 5)


def test_an_event_goes_on_with_the_piece_that_completes_it():
    stream = EventStream("ours", with_usage=False)
    first, second = said("a"), said("b")
    assert passed(stream, first[:-1]) == b""
    assert passed(stream, first[-1:]) == first.replace(b'"model": "theirs"', b'"model":"ours"')
    assert passed(stream, second) != b""


def test_only_the_name_changes_and_no_text_that_looks_like_it():
    text = '{"model": "theirs"}'
    stream = EventStream('o"urs\\', with_usage=False)
    (only,) = stream.feed(said(text))
    told = json.loads(only[6:])
    assert (told["model"], told["choices"][0]["delta"]["content"]) == ('o"urs\\', text)


def test_usage_goes_on_where_it_was_asked_for_and_with_text_always():
    assert b"usage" in passed(EventStream("ours", with_usage=True), WHOLE)
    assert b"usage" not in passed(EventStream("ours", with_usage=False), WHOLE)
    mixed = event(choices=[{"index": 0, "delta": {"content": "x"}}], usage=USAGE)
    stream = EventStream("ours", with_usage=False)
    assert b'"x"' in passed(stream, mixed)
    assert stream.usage.total_tokens == 5


def test_it_is_complete_when_it_says_so_or_when_every_answer_has_ended():
    one = EventStream("ours", with_usage=False)
    passed(one, said("a"), said("b", index=1), said("", finish="stop"))
    assert not one.complete
    passed(one, said("", index=1, finish="length"))
    assert one.complete
    assert not EventStream("ours", with_usage=False).complete


@pytest.mark.parametrize("bad", [b'data: {"error": {"message": "x"}}\n\n', b"data: nonsense\n\n", b"data: [1]\n\n"])
def test_what_is_no_chunk_fails_and_does_not_go_on(bad):
    stream = EventStream("ours", with_usage=False)
    assert passed(stream, said("a") + bad + said("b")).count(b"data:") == 1
    assert stream.failed
    assert not stream.complete


@pytest.mark.parametrize("usage", [{"total_tokens": -5}, {"total_tokens": 10**15}, {"prompt_tokens": "many"}])
def test_a_usage_that_can_not_be_is_not_believed(usage):
    stream = EventStream("ours", with_usage=False)
    assert passed(stream, event(choices=[], usage=usage)) == b""
    assert stream.failed
    assert stream.usage is None


def test_an_event_without_end_is_given_up():
    stream = EventStream("ours", with_usage=False)
    for _ in range(MOST_EVENT // 10_000):
        assert list(stream.feed(b"x" * 10_000)) == []
    with pytest.raises(EventTooLong):
        list(stream.feed(b"x" * 10_000))


def test_an_event_that_comes_byte_by_byte_is_looked_at_once():
    stream = EventStream("ours", with_usage=False)
    for _ in range(200_000):  # looked at again with each byte, this would take minutes
        assert list(stream.feed(b"x")) == []


@pytest.mark.parametrize("end", [b"\r\n\r\n", b"\r\r"])
def test_other_ends_of_lines_are_understood(end):
    stream = EventStream("ours", with_usage=False)
    assert len(list(stream.feed(said("a")[:-2] + end + said("b")))) == 2
