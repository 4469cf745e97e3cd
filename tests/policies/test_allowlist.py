import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.allowlist import Grant, allows, permitted

steady = settings(deadline=None, derandomize=True, max_examples=300)

MINILM = ("sentence-transformers/all-MiniLM-L6-v2", "all-minilm-l6-v2")

patterns = st.sampled_from(["*", "a*", "b*", "*b", "?", "a", "b", "ab", "a/b", "*/*"])
grants = st.lists(st.builds(Grant, patterns, st.booleans()), max_size=6)
names = st.lists(st.text("ab/", min_size=1, max_size=3), min_size=1, max_size=3)


@pytest.mark.parametrize(
    ("granted", "allowed"),
    [
        ([], False),
        ([Grant("*")], True),
        ([Grant("sentence-transformers/*")], True),
        ([Grant("all-minilm-l6-v2")], True),
        ([Grant("all-*"), Grant("BAAI/*")], True),
        ([Grant("BAAI/*")], False),
        ([Grant("ALL-MINILM-L6-V2")], False),
        ([Grant("*", deny=True)], False),
        ([Grant("BAAI/*", deny=True)], False),
        ([Grant("*"), Grant("all-minilm-l6-v2", deny=True)], False),
        ([Grant("all-minilm-l6-v2"), Grant("sentence-transformers/*", deny=True)], False),
        ([Grant("*"), Grant("BAAI/*", deny=True)], True),
    ],
)
def test_a_model_needs_a_pattern_that_allows_a_name_and_none_that_denies_one(
    granted: list[Grant], allowed: bool
) -> None:
    assert allows(granted, MINILM) is allowed


@pytest.mark.parametrize(
    ("tenant", "key", "allowed"),
    [
        ([Grant("*")], [], True),
        ([], [], False),
        ([], [Grant("*")], False),
        ([Grant("*")], [Grant("all-*")], True),
        ([Grant("*")], [Grant("BAAI/*")], False),
        ([Grant("BAAI/*")], [Grant("*")], False),
        ([Grant("*")], [Grant("BAAI/*", deny=True)], True),
        ([Grant("*")], [Grant("all-*", deny=True)], False),
        ([Grant("*")], [Grant("*"), Grant("all-*", deny=True)], False),
        ([Grant("*"), Grant("all-*", deny=True)], [Grant("*")], False),
    ],
)
def test_a_key_narrows_its_tenant(tenant: list[Grant], key: list[Grant], allowed: bool) -> None:
    assert permitted(tenant, key, MINILM) is allowed


@steady
@given(grants, grants, names, st.randoms(use_true_random=False))
def test_order_of_patterns_and_names_does_not_matter(tenant, key, called, random) -> None:
    def shuffled(items):
        return random.sample(items, len(items))

    assert allows(tenant, called) == allows(shuffled(tenant), shuffled(called))
    assert permitted(tenant, key, called) == permitted(shuffled(tenant), shuffled(key), shuffled(called))


@steady
@given(grants, grants, names)
def test_a_key_never_widens_its_tenant(tenant, key, called) -> None:
    assert allows(tenant, called) or not permitted(tenant, key, called)


@steady
@given(grants, grants, names, patterns)
def test_one_more_denial_never_allows_anything(tenant, key, called, pattern) -> None:
    denial = Grant(pattern, deny=True)
    assert not allows([*tenant, denial], called) or allows(tenant, called)
    assert not permitted([*tenant, denial], key, called) or permitted(tenant, key, called)
    assert not permitted(tenant, [*key, denial], called) or permitted(tenant, key, called)


@steady
@given(grants, names)
def test_denying_a_name_of_the_model_wins_over_all_else(granted, called) -> None:
    assert not allows([*granted, Grant("*"), Grant(called[0], deny=True)], called)
