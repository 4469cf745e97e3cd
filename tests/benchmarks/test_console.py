from datetime import UTC, datetime

import numpy as np
import pytest

from admin_ui.app import PAGES
from benchmarks.console import addresses as console_addresses
from benchmarks.console import command, nodes, traffic
from benchmarks.console.size import SMALL, Size
from benchmarks.processes import NotMeasurable

NOW = datetime(2026, 11, 21, 14, 20, tzinfo=UTC)
TINY = Size(tenants=7, models=9, nodes=4, records=3000, events=50, days=40)


@pytest.fixture(scope="module")
def made():
    return traffic.make_traffic(TINY, NOW)


@pytest.fixture(scope="module")
def subjects(made):
    return command.subjects_of(TINY, made.heaviest, NOW, 9100)


def test_traffic_has_exactly_as_many_requests_each_hour_of_a_pair_once_and_none_to_come(made):
    assert made.requests.sum() == TINY.records
    assert made.requests.min() >= 1
    assert len({*zip(made.pair.tolist(), made.hour.tolist(), strict=True)}) == len(made.pair)
    assert made.hours[int(made.hour.max())] <= NOW
    assert len(np.unique(made.pair)) == TINY.tenants * TINY.keys * traffic.PAIRS


def test_the_same_seed_makes_the_same_traffic(made):
    again = traffic.make_traffic(TINY, NOW)
    assert np.array_equal(again.requests, made.requests)
    assert not np.array_equal(traffic.make_traffic(TINY, NOW, seed=2).requests[:50], made.requests[:50])


def test_every_route_that_is_read_is_asked_for(subjects):
    asked = {address.route.partition("?")[0] for address in console_addresses.addresses(subjects)}
    read = {path for handler in PAGES if "GET" in handler.http_methods for path in handler.paths}
    assert asked == read - {console_addresses.EVERYTHING_ELSE}
    assert all("{" not in address.url for address in console_addresses.addresses(subjects))


def test_a_route_of_which_nobody_said_what_to_ask_is_an_error(subjects, monkeypatch):
    class Handler:
        http_methods = frozenset({"GET"})
        paths = frozenset({"/herrings/{herring:str}"})

    monkeypatch.setattr(console_addresses, "PAGES", (*PAGES, Handler))
    with pytest.raises(NotMeasurable, match="What to ask of /herrings"):
        list(console_addresses.addresses(subjects))
    monkeypatch.setattr(console_addresses, "queries", lambda subjects: {"/gone": [{}]})
    with pytest.raises(NotMeasurable, match="Nothing in the console is at /gone"):
        list(console_addresses.addresses(subjects))


def test_nodes_hold_models_of_their_own_pool_and_some_could_not_load_one():
    large = Size()
    statuses = [nodes.node_status(number, large) for number in range(large.nodes)]
    assert {len(status.models) for status in statuses} == {30}
    assert all(status.memory_used <= status.memory_budget for status in statuses)
    assert sum(any(model.failure for model in status.models) for status in statuses) == nodes.TROUBLED
    assert len(set(nodes.addresses(large, 9100))) == 100


def test_a_whole_run_over_a_small_fleet_asks_for_everything_and_flags_what_is_too_much(monkeypatch):
    monkeypatch.setattr(command, "SMALL", TINY)
    asked, rows = command._measured("sqlite", TINY, 1)
    assert {one.route for one in asked} >= {"/", "/usage", "/overview/traffic"}
    assert {one.status for one in asked if one.route not in {"/sign-in/oidc", "/sign-in/oidc/done"}} == {200}
    assert rows["usage_record"] == TINY.records
    assert rows["tenant"] == TINY.tenants
    slow = command.Asked("/x", 200, [0.2, 0.3], 10, 100_001)
    assert command._flags(slow) == "slow large"
    assert command._pages("sqlite", asked).rows[0][0].startswith("`/")
    assert SMALL.tenants > TINY.tenants
