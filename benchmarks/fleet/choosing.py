"""What one `choose_node` costs, on the clock of this machine."""

import random
import time
from bisect import bisect
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

from benchmarks.fleet.traffic import ZIPF
from policies.fleet import Fleet, NodeFacts
from policies.routing import choose_node

CALLS = 50_000
GIB = 2**30
PINNED = "pinned"


def costs(nodes: int, models: int) -> list[dict[str, Any]]:
    """Times of a call in several states of a fleet, in microseconds."""
    names = [f"org/model-{number}" for number in range(models)]
    weights = list(accumulate(place**-ZIPF for place in range(1, models + 1)))
    source = random.Random("choosing")
    asked = [names[bisect(weights, source.random() * weights[-1])] for _ in range(CALLS)]
    settled, empty, crowded = _settled(nodes, names), Fleet(), Fleet()
    for number in range(nodes):
        empty.update(NodeFacts(_url(number), free_bytes=GIB))
        has = number % 2
        crowded.update(NodeFacts(_url(number), resident=frozenset((PINNED,) * has), waiting_requests=50 * has))
    cold = source.sample(names, min(models, 2000))
    for model in cold:
        choose_node(settled, model, now=0.0)
    return [
        _row("requests by Zipf's law, each begun and ended, in a fleet that has settled", _times(settled, asked)),
        _row("a model that no node has, for the first time", _times(empty, cold)),
        _row("a model that no node has, again", _times(empty, cold)),
        _row("a model that half of the nodes have, all of them busy", _times(crowded, [PINNED] * 2000)),
        _row("`Fleet.begin` and `Fleet.end`, for comparison", _visits(settled, asked)),
        _row("`Fleet.update` with a status that says nothing new", _updates(settled, nodes)),
    ]


def _settled(nodes: int, names: Sequence[str]) -> Fleet:
    """Every model on its first node, the most popular one on every tenth node; some nodes are a bit busy."""
    fleet, source = Fleet(), random.Random("settled")
    for number in range(nodes):
        fleet.update(NodeFacts(_url(number)))
    held: dict[str, set[str]] = {_url(number): set() for number in range(nodes)}
    for place, name in enumerate(names):
        copies = max(1, nodes // 10 // (place + 1))
        for _, url, _ in sorted(fleet.everyone(name))[:copies]:
            held[url].add(name)
    for url, models in held.items():
        fleet.update(NodeFacts(url, resident=frozenset(models), waiting_requests=source.choice((0, 0, 0, 1, 2, 5))))
    return fleet


def _times(fleet: Fleet, asked: Sequence[str]) -> list[int]:
    times, under_way = [], []
    for number, model in enumerate(asked):
        began = time.perf_counter_ns()
        choice = choose_node(fleet, model, now=number / 1000)
        times.append(time.perf_counter_ns() - began)
        if choice is not None and choice.how == "resident":
            fleet.begin(choice.url, model, number / 1000)
            under_way.append(choice.url)
        if len(under_way) > 200:
            fleet.end(under_way.pop(0))
    for url in under_way:
        fleet.end(url)
    return times


def _visits(fleet: Fleet, asked: Sequence[str]) -> list[int]:
    urls = {model: choice.url for model in set(asked) if (choice := choose_node(fleet, model, now=0.0))}

    def visit(model: str) -> None:
        fleet.begin(urls[model], model, 0.0)
        fleet.end(urls[model], model)

    return _timed(visit, asked)


def _updates(fleet: Fleet, nodes: int) -> list[int]:
    return _timed(fleet.update, [fleet.nodes[_url(number)].facts for number in range(nodes)])


def _timed(do: Callable[[Any], object], over: Sequence[Any]) -> list[int]:
    times = []
    for one in over:
        began = time.perf_counter_ns()
        do(one)
        times.append(time.perf_counter_ns() - began)
    return times


def _row(what: str, times: list[int]) -> dict[str, Any]:
    times.sort()
    at = {name: times[int(share * len(times))] / 1000 for name, share in (("median", 0.5), ("p99", 0.99))}
    return {"what": what, "calls": len(times), **at, "p99.9": times[int(0.999 * len(times))] / 1000}


def _url(number: int) -> str:
    return f"http://10.0.{number >> 8}.{number & 255}:9000"
