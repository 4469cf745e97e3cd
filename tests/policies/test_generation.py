import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.estimate import TokenEstimate, utf8_bytes
from policies.generation import DEFAULT_COMPLETION, MEDIA_TOKENS, generation_bound, prompt_bound

PROMPT = TokenEstimate(100)


def test_every_answer_may_be_as_long_as_was_said_and_neither_is_longer_than_the_context():
    assert generation_bound(PROMPT, answers=1, most=50, context=None) == 150
    assert generation_bound(PROMPT, answers=3, most=50, context=None) == 250
    assert generation_bound(PROMPT, answers=2, most=None, context=None) == 100 + 2 * DEFAULT_COMPLETION
    assert generation_bound(PROMPT, answers=2, most=10**6, context=80) == 80 + 2 * 80


def test_a_picture_counts_for_what_pictures_take_not_for_its_bytes():
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 10**6}}
    assert prompt_bound([[{"role": "user", "content": [picture]}]]) < MEDIA_TOKENS + 100


@given(st.recursive(st.text(max_size=20), lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner)))
def test_every_text_of_a_prompt_is_within_its_bound(value):
    def texts(part):
        if isinstance(part, str):
            return utf8_bytes(part)
        return sum(map(texts, part.values() if isinstance(part, dict) else part))

    if '"type"' not in json.dumps(value):
        assert prompt_bound([value]) >= texts(value)


def test_lists_within_lists_without_end_do_not_break_it():
    deep = "x"
    for _ in range(900):
        deep = [deep]
    assert prompt_bound([deep]) == 1
    assert prompt_bound([None, True, 3, 1.5]) >= 0


@pytest.mark.parametrize("kind", ["image_url", ["image_url"], {}])
def test_a_text_that_calls_itself_a_picture_counts_for_its_bytes(kind):
    assert prompt_bound([[{"role": "user", "type": kind, "content": "x" * 10_000}]]) > 10_000


def test_a_text_is_counted_however_deep_it_lies():
    tools = {"description": "x" * 10_000}
    for _ in range(50):
        tools = {"properties": tools}
    assert prompt_bound([tools]) > 10_000
