import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.memory.eviction import Resident, greedy_dual_size_frequency, least_recently_used, plan_eviction

AGES = {"a": Resident("a", 4, 1, activation=1), "b": Resident("b", 4, 2, activation=5)}


def keys(plan):
    return plan if plan is None else "".join(str(victim.key) for victim in plan)


@pytest.mark.parametrize(
    ("there", "needed", "activation", "total", "evicted"),
    [
        ("ab", 2, 0, None, ""),  # nothing bounds the batches
        ("ab", 2, 0, 15, ""),  # 10 of models and 5 of batches
        ("ab", 2, 0, 14, "a"),
        ("ab", 2, 6, 15, "a"),  # the newcomer's own batches take the most
        ("a", 4, 6, 13, "a"),
        ("", 4, 6, 9, None),
        ("ab", 0, 0, 8, "b"),  # nobody comes, but b turned out to take more: with it gone a need not go
    ],
)
def test_the_batches_are_counted_once_beside_the_models(there, needed, activation, total, evicted):
    plan = plan_eviction([AGES[key] for key in there], needed, 10, activation=activation, total=total)
    assert keys(plan) == evicted


@pytest.mark.parametrize(
    ("policy", "evicted"),
    [(least_recently_used, "slow"), (greedy_dual_size_frequency, "quick"), (lambda resident: -resident.bytes, "large")],
)
def test_the_policy_says_who_is_worth_least(policy, evicted):
    residents = [
        Resident("slow", 4, 1, reload_seconds=9.0),
        Resident("quick", 4, 2, reload_seconds=0.1),
        Resident("large", 5, 3, reload_seconds=9.0),
    ]
    assert keys(plan_eviction(residents, 1, 13, policy)) == evicted


def test_models_of_equal_worth_leave_in_the_order_given():
    residents = [Resident(key, 1, 7.0) for key in "cab"]
    assert keys(plan_eviction(residents, 2, 3)) == "ca"


def test_credit_makes_old_uses_count_less():
    often_long_ago = Resident("old", 1, 1, uses=10, reload_seconds=1.0, credit=0.0)
    once_lately = Resident("new", 1, 2, uses=1, reload_seconds=1.0, credit=9.5)
    assert greedy_dual_size_frequency(often_long_ago) < greedy_dual_size_frequency(once_lately)


RESIDENTS = st.lists(
    st.builds(
        Resident,
        st.integers(),
        st.integers(1, 50),
        st.floats(0, 100),
        st.booleans(),
        st.booleans(),
        st.integers(1, 9),
        st.floats(0, 9),
        st.floats(0, 9),
        st.integers(0, 40),
    ),
    max_size=10,
    unique_by=lambda resident: resident.key,
)


@given(
    RESIDENTS,
    st.integers(0, 120),
    st.integers(1, 300),
    st.integers(0, 40),
    st.integers(1, 300),
    st.sampled_from((least_recently_used, greedy_dual_size_frequency)),
)
def test_a_plan_keeps_both_bounds_and_evicts_nobody_in_vain(residents, needed, budget, activation, total, policy):
    def fits(staying):
        taken = needed + sum(resident.bytes for resident in staying)
        peak = max([activation, *(resident.activation for resident in staying)])
        return taken <= budget and taken + peak <= total

    plan = plan_eviction(residents, needed, budget, policy, activation=activation, total=total)
    if plan is None:
        assert not fits([resident for resident in residents if resident.busy or resident.pinned])
        return
    staying = [resident for resident in residents if resident not in plan]
    assert fits(staying)
    assert not any(victim.busy or victim.pinned for victim in plan)
    assert not any(fits([*staying, victim]) for victim in plan)
