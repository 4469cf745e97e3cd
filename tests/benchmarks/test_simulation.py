import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.simulation.catalogue import catalogue
from benchmarks.simulation.fleet import simulate
from benchmarks.simulation.node import NodeSize
from benchmarks.simulation.replay import Item, bound, clairvoyant, online
from benchmarks.simulation.traffic import KINDS, trace
from engine.memory.eviction import greedy_dual_size_frequency, least_recently_used

SMALL = NodeSize(budget=4 * 2**30, host_budget=8 * 2**30)
BUDGET = 6

sequences = st.lists(st.sampled_from("abcd"), max_size=9)
catalogues = st.fixed_dictionaries({key: st.builds(Item, st.integers(1, 5), st.integers(1, 6)) for key in "abcd"})
steady = settings(deadline=None, derandomize=True, max_examples=150)


def optimum(sequence, items, cost):
    """The least that any schedule pays, by trying all of them."""

    @cache
    def least(step, held):
        if step == len(sequence):
            return 0
        key = sequence[step]
        if key in held:
            return least(step + 1, held)
        return cost(items[key]) + min(
            least(step + 1, kept | {key})
            for kept in subsets(held)
            if sum(items[other].bytes for other in kept) + items[key].bytes <= BUDGET
        )

    return least(0, frozenset())


def subsets(held):
    found = [frozenset()]
    for key in held:
        found += [kept | {key} for kept in found]
    return found


@steady
@given(sequences, catalogues)
def test_the_optimum_lies_between_the_bound_and_every_schedule_that_can_be_had(sequence, items):
    seconds = optimum(sequence, items, lambda item: item.seconds)
    misses = optimum(sequence, items, lambda item: 1)
    assert bound(sequence, items, BUDGET).seconds <= seconds + 1e-9
    assert bound(sequence, items, BUDGET, worth=lambda _: 1.0).misses <= misses + 1e-9
    for schedule in (
        clairvoyant(sequence, items, BUDGET),
        online(sequence, items, BUDGET, least_recently_used),
        online(sequence, items, BUDGET, greedy_dual_size_frequency),
    ):
        assert schedule.seconds >= seconds
        assert schedule.misses >= misses


@steady
@given(sequences)
def test_with_equal_sizes_the_clairvoyant_schedule_is_the_optimum(sequence):
    items = dict.fromkeys("abcd", Item(2, 1.0))
    assert clairvoyant(sequence, items, BUDGET).misses == optimum(sequence, items, lambda item: 1)


def test_misses_of_a_sequence_counted_by_hand():
    items = dict.fromkeys("abc", Item(1, 1.0))
    found = online("abcabc", items, 2, least_recently_used)
    assert found.misses == 6  # a loop one larger than the memory: the worst case of LRU
    assert found.hit_rate == 0
    assert clairvoyant("abcabc", items, 2).misses == 4
    assert online("aab", items, 2, least_recently_used).hit_rate == pytest.approx(1 / 3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_trace_is_in_order_as_long_as_asked_and_its_seeds_alone(kind):
    refs = list(catalogue(50, 0))
    arrivals = trace(kind, refs, requests=1000, rate=50.0, seed=1)
    assert 980 <= len(arrivals) <= 1000
    assert [arrival.time for arrival in arrivals] == sorted(arrival.time for arrival in arrivals)
    assert {arrival.lane for arrival in arrivals} == {"interactive", "bulk"}
    assert arrivals == trace(kind, refs, requests=1000, rate=50.0, seed=1)
    assert arrivals != trace(kind, refs, requests=1000, rate=50.0, seed=2)
    first = sum(arrival.model == refs[0] for arrival in arrivals)
    last = sum(arrival.model == refs[-1] for arrival in arrivals)
    assert first > 3 * last


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    """Hundreds of swaps are logged."""
    with structlog.testing.capture_logs():
        yield


def small_run(kind="bursty", policy=least_recently_used):
    specs = catalogue(40, 3)
    arrivals = trace(kind, list(specs), requests=600, rate=40.0, seed=5)
    return simulate(arrivals, specs, nodes=2, size=SMALL, policy=policy)


@pytest.mark.parametrize("policy", [least_recently_used, greedy_dual_size_frequency])
@pytest.mark.parametrize("kind", KINDS)
def test_a_fleet_answers_everything_within_its_memory_and_idles_for_no_reason(kind, policy):
    outcome = small_run(kind, policy)
    assert len(outcome.answers) >= 590
    assert not outcome.errors
    assert outcome.peak_bytes <= SMALL.budget
    assert outcome.loads + outcome.restores > 40
    assert 0.05 < outcome.hit_rate < 1
    assert outcome.starved < 0.03 * outcome.busy
    assert all(wait >= 0 for wait in outcome.waits("interactive"))


def test_two_runs_are_alike_byte_for_byte_whatever_the_hash_seed():
    here = small_run()
    here_is = Path(__file__)
    program = f"import sys; sys.path.append({str(here_is.parent)!r}); import {here_is.stem} as t; "
    elsewhere = subprocess.run(
        [sys.executable, "-c", program + "print(t.small_run().digest)"],
        cwd=here_is.parents[2],
        env={**os.environ, "PYTHONHASHSEED": "12345"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert here.digest == small_run().digest == elsewhere.stdout.split()[-1]
    assert here.digest != small_run("steady").digest
