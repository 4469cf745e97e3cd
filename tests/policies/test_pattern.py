from fnmatch import translate
from re import fullmatch
from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.pattern import matches

steady = settings(deadline=None, derandomize=True, max_examples=300)


@pytest.mark.parametrize(
    ("pattern", "name", "covered"),
    [
        ("*", "BAAI/bge-m3", True),
        ("*", "", True),
        ("", "", True),
        ("", "a", False),
        ("BAAI/*", "BAAI/bge-m3", True),
        ("BAAI/*", "BAAI/nested/name", True),
        ("*bge*", "BAAI/bge-m3", True),
        ("bge-m?", "bge-m3", True),
        ("bge-m?", "bge-m", False),
        ("bge-m?", "bge-m33", False),
        ("b?e*3", "bge-m3", True),
        ("**", "anything/at all", True),
        ("a*a", "a", False),
        ("a*b*b", "ab", False),
        ("bge", "bge-m3", False),
        ("bge-M3", "bge-m3", False),
        ("b[gx]e", "bge", False),
        ("b[gx]e", "b[gx]e", True),
        ("a.c", "abc", False),
        (r"a\*", r"a\b", True),
        ("a|b", "a", False),
        ("a*", "a\nb", True),
        ("a?b", "a\nb", True),
        ("a", "a\n", False),
        ("modèle-*", "modèle-é", True),
    ],
)
def test_only_star_and_question_mark_are_special(pattern: str, name: str, covered: bool) -> None:
    assert matches(pattern, [name]) is covered


def test_one_name_of_several_is_enough_and_none_of_none() -> None:
    assert matches("bge-*", ["BAAI/bge-m3", "bge-m3"])
    assert not matches("*", [])


@steady
@given(st.text("ab/*?", max_size=8), st.text("ab/", max_size=12))
def test_agrees_with_the_standard_librarys_glob(pattern: str, name: str) -> None:
    assert matches(pattern, [name]) == bool(fullmatch(translate(pattern), name))


def test_many_stars_do_not_make_it_slow() -> None:
    started = perf_counter()
    assert not matches("*a" * 40 + "b", ["a" * 4000])
    assert perf_counter() - started < 1.0
