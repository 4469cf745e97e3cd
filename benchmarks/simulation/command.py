"""`python -m benchmarks simulation`: every kind of trace under every policy, on the same seeds."""

import argparse
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

import structlog

from benchmarks import machine
from benchmarks.report import Report, publish
from benchmarks.simulation.catalogue import catalogue
from benchmarks.simulation.fleet import Outcome, simulate
from benchmarks.simulation.node import NodeSize
from benchmarks.simulation.replay import Item, bound, clairvoyant, online
from benchmarks.simulation.tables import device_table, fleet_table, replay_table, verdict_table, wait_table
from benchmarks.simulation.traffic import KINDS, Arrival, Kind, trace
from engine.memory.eviction import EvictionPolicy, greedy_dual_size_frequency, least_recently_used
from engine.protocol import Lane, ModelRef
from engine.simulation.fake import FakeSpec

POLICIES: Mapping[str, EvictionPolicy] = {"LRU": least_recently_used, "GDSF": greedy_dual_size_frequency}

RETURNS: Mapping[str, Callable[[FakeSpec], float]] = {
    "host": lambda spec: spec.restore_seconds,
    "disk": lambda spec: spec.load_seconds,
}
"""Where evicted models come back from, and what that takes."""

LANES: Sequence[Lane] = ("interactive", "bulk")


@dataclass(frozen=True, slots=True)
class Size:
    """Of everything simulated."""

    models: int
    nodes: int
    requests: int
    rate: float
    seeds: int
    node: NodeSize


def main(arguments: list[str]) -> None:
    """Simulate, print, and keep the results unless the run is dry."""
    options = argparse.ArgumentParser(prog="python -m benchmarks simulation")
    options.add_argument("--models", type=int, default=300)
    options.add_argument("--nodes", type=int, default=4)
    options.add_argument("--requests", type=int, default=10_000, help="in each trace")
    options.add_argument("--rate", type=float, default=100.0, help="requests a second, all nodes together")
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--dry", action="store_true", help="print only")
    chosen = options.parse_args(arguments)
    size = Size(chosen.models, chosen.nodes, chosen.requests, chosen.rate, chosen.seeds, NodeSize())
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))  # every swap is logged
    here = machine.describe()
    replays = [row for kind in KINDS for seed in range(size.seeds) for row in replayed(size, kind, seed)]
    fleets = [row for kind in KINDS for seed in range(size.seeds) for row in simulated(size, kind, seed)]
    report = Report(
        name="simulation",
        title="Eviction, scheduling and routing on virtual time",
        command=" ".join(["python -m benchmarks simulation", *arguments]),
        machine=here,
        tables=[
            fleet_table(fleets),
            wait_table(fleets),
            device_table(fleets),
            verdict_table(fleets, replays),
            *map(replay_table, _by_return(replays)),
        ],
        numbers={"size": asdict(size), "seeds": list(range(size.seeds)), "fleet": fleets, "replay": replays},
    )
    publish(report, keep=not chosen.dry)


def simulated(size: Size, kind: Kind, seed: int) -> list[dict[str, Any]]:
    """One trace through the whole fleet, under every policy, beside what no schedule could do better."""
    specs, arrivals = _traffic(size, kind, seed)
    sequence = [arrival.model for arrival in arrivals]
    items = {ref: Item(spec.bytes, spec.restore_seconds) for ref, spec in specs.items()}
    least = bound(sequence, items, size.nodes * size.node.budget, worth=lambda _: 1.0)
    rows = []
    for name, policy in POLICIES.items():
        _say(f"fleet: {kind}, seed {seed}, {name}")
        outcome = simulate(arrivals, specs, nodes=size.nodes, size=size.node, policy=policy)
        rows.append({"trace": kind, "seed": seed, "policy": name, "least": least.misses, **_numbers(outcome)})
    return rows


def replayed(size: Size, kind: Kind, seed: int) -> list[dict[str, Any]]:
    """The requests of one trace in their order, in one memory, without time."""
    specs, arrivals = _traffic(size, kind, seed)
    sequence = [arrival.model for arrival in arrivals]
    rows = []
    for returning, cost in RETURNS.items():
        items = {ref: Item(spec.bytes, cost(spec)) for ref, spec in specs.items()}
        for memory in (size.node.budget, size.nodes * size.node.budget):
            _say(f"replay: {kind}, seed {seed}, from {returning}, {memory >> 30} GiB")
            found = {name: online(sequence, items, memory, policy) for name, policy in POLICIES.items()}
            found["clairvoyant"] = clairvoyant(sequence, items, memory)
            seconds, count = bound(sequence, items, memory), bound(sequence, items, memory, worth=lambda _: 1.0)
            rows.append(
                {
                    "trace": kind,
                    "seed": seed,
                    "return": returning,
                    "memory": memory,
                    "misses": {name: missed.misses for name, missed in found.items()} | {"bound": count.misses},
                    "seconds": {name: missed.seconds for name, missed in found.items()} | {"bound": seconds.seconds},
                    "requests": len(sequence),
                }
            )
    return rows


def _traffic(size: Size, kind: Kind, seed: int) -> tuple[dict[ModelRef, FakeSpec], list[Arrival]]:
    specs = catalogue(size.models, seed)
    return specs, trace(kind, list(specs), requests=size.requests, rate=size.rate, seed=seed)


def _numbers(outcome: Outcome) -> dict[str, Any]:
    waits = {lane: outcome.waits(lane) for lane in LANES}
    return {
        "requests": len(outcome.answers),
        "errors": dict(outcome.errors),
        "hit_rate": outcome.hit_rate,
        "loads": outcome.loads,
        "restores": outcome.restores,
        "evictions": outcome.evictions,
        "p50": {lane: _quantile(waits[lane], 0.5) for lane in LANES},
        "p99": {lane: _quantile(waits[lane], 0.99) for lane in LANES},
        "mean": {lane: fmean(waits[lane]) for lane in LANES},
        "busy": outcome.busy,
        "starved": outcome.starved,
        "swapping": outcome.swapping,
        "peak_bytes": outcome.peak_bytes,
        "digest": outcome.digest,
    }


def _quantile(ascending: Sequence[float], share: float) -> float:
    return ascending[min(int(share * len(ascending)), len(ascending) - 1)] if ascending else 0.0


def _by_return(rows: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    return [[row for row in rows if row["return"] == returning] for returning in RETURNS]


def _say(what: str) -> None:
    print(what, file=sys.stderr)
