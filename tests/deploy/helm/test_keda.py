"""What KEDA makes of the chart's ScaledObjects, by a model of its decisions."""

import copy
from typing import Any

import pytest
from keda import Keda

NOTHING: list[float] = []


@pytest.fixture
def resting(everything) -> Any:
    return everything.one("ScaledObject", "shoal-engine-idle")  # 0 to 16 pods, 64 requests each


@pytest.fixture
def warm(everything) -> Any:
    return everything.one("ScaledObject", "shoal-engine-warm")  # 2 to 3 pods, 16 requests each


def test_a_pool_wakes_for_one_request_grows_with_demand_and_rests_after_its_cooldown(resting) -> None:
    keda = Keda(resting)
    assert keda.look([0], times=100) == 0
    assert keda.look([1]) == 1
    assert keda.look([64 * 5]) == 5
    assert keda.look([64 * 400]) == 16
    assert keda.look([0]) == 16  # demand comes and goes: nothing is given back at once
    assert keda.look([0], times=31) == 1
    cooldown = resting["spec"]["cooldownPeriod"] // resting["spec"]["pollingInterval"]
    assert keda.look([0], times=cooldown - 33) == 1
    assert keda.look([0], times=3) == 0


@pytest.mark.parametrize("replicas", [0, 3])
def test_silence_leaves_a_pool_as_it_is_for_ever(resting, replicas) -> None:
    keda = Keda(resting, replicas)
    assert keda.look(NOTHING, times=10_000) == replicas
    assert keda.error == "the query returned nothing"
    assert keda.look([float("nan")], times=1000) == replicas
    assert keda.look([1.0, 2.0], times=1000) == replicas


def test_a_warm_pool_has_its_least_through_silence_and_never_fewer(warm) -> None:
    assert Keda(warm).look([0]) == 2
    assert Keda(warm, 1).look(NOTHING, times=10) == 2
    assert Keda(warm, 3).look(NOTHING, times=10_000) == 3


def test_the_usual_ways_are_worse(resting) -> None:
    """What the chart avoids: silence that counts as 0, and a fallback for pools at rest."""
    forgiving = copy.deepcopy(resting)
    forgiving["spec"]["triggers"][0]["metadata"]["ignoreNullValues"] = "true"
    assert Keda(forgiving, 3).look(NOTHING, times=1000) == 0  # under its callers
    falling_back = copy.deepcopy(resting)
    falling_back["spec"]["fallback"] = {"failureThreshold": 3, "replicas": 4}
    assert Keda(falling_back).look(NOTHING, times=5) == 4  # every pool's machines are started
