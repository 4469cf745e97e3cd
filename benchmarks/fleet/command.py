"""`python -m benchmarks fleet`: every way to choose a node through the same traces."""

import argparse
import logging
import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

import structlog

from benchmarks import machine
from benchmarks.fleet.catalogue import models_that_fit
from benchmarks.fleet.check import check
from benchmarks.fleet.choosing import costs
from benchmarks.fleet.play import Setting, play
from benchmarks.fleet.routers import ROUTERS
from benchmarks.fleet.tables import check_table, cost_table, routing_table, wait_table
from benchmarks.fleet.traffic import trace
from benchmarks.report import Report, publish
from benchmarks.simulation.node import NodeSize


@dataclass(frozen=True, slots=True)
class Size:
    """Of everything simulated."""

    models: int
    rate: float
    seconds: float
    warm_up: float
    setting: Setting


def main(arguments: list[str]) -> None:
    """Simulate, print, and keep the results unless the run is dry."""
    options = argparse.ArgumentParser(prog="python -m benchmarks fleet")
    options.add_argument("--nodes", type=int, default=1000)
    options.add_argument("--models", type=int, default=10_000)
    options.add_argument("--rate", type=float, default=8000.0, help="requests a second, all together")
    options.add_argument("--seconds", type=float, default=60.0)
    options.add_argument("--warm-up", type=float, default=30.0, help="seconds of these that are not counted")
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--gateways", type=int, default=4)
    options.add_argument("--poll", type=float, default=5.0, help="seconds between two looks at a node")
    options.add_argument(
        "--gib", type=float, default=6.0, help="of device memory of each node, twice as much of host's"
    )
    options.add_argument("--processes", type=int, default=2)
    options.add_argument("--dry", action="store_true", help="print only")
    chosen = options.parse_args(arguments)
    room = int(chosen.gib * 2**30)
    setting = Setting(
        nodes=chosen.nodes,
        gateways=chosen.gateways,
        poll=chosen.poll,
        failures=chosen.nodes / 5000,
        size=NodeSize(budget=room, host_budget=2 * room),
    )
    size = Size(chosen.models, chosen.rate, chosen.seconds, chosen.warm_up, setting)
    here = machine.describe()
    timed = costs(chosen.nodes, chosen.models)
    runs = [(size, name, seed) for name in ROUTERS for seed in range(chosen.seeds)]
    with ProcessPoolExecutor(chosen.processes) as pool:
        checked = [row for rows in pool.map(_check, range(chosen.seeds)) for row in rows]
        played = list(pool.map(_played, runs))
    report = Report(
        name="fleet",
        title="Choosing among a thousand nodes, on virtual time",
        command=" ".join(["python -m benchmarks fleet", *arguments]),
        machine=here,
        tables=[routing_table(played), wait_table(played), cost_table(timed), check_table(checked)],
        numbers={"size": asdict(size), "played": played, "costs": timed, "checked": checked},
    )
    publish(report, keep=not chosen.dry)


def simulated(size: Size, name: str, seed: int) -> Mapping[str, Any]:
    """One trace, by one way to choose."""
    specs = models_that_fit(size.models, size.setting.size, seed)
    arrivals = trace(list(specs), rate=size.rate, seconds=size.seconds, seed=seed)
    outcome = play(arrivals, specs, ROUTERS[name], size.setting, warm_up=size.warm_up, seed=seed)
    minutes = (size.seconds - size.warm_up) / 60
    waits = outcome.waits
    return {
        "router": name,
        "seed": seed,
        "requests": outcome.requests,
        "hit_rate": outcome.hit_rate,
        "imbalance": fmean(outcome.imbalance),
        "queues": fmean(outcome.queues),
        "loads": outcome.loads / minutes,
        "restores": outcome.restores / minutes,
        "p50": waits[len(waits) // 2],
        "p99": waits[int(0.99 * len(waits))],
        "mean": fmean(waits),
        "busy": outcome.busy,
        "copies": outcome.copies,
        "retries": outcome.retries,
        "errors": outcome.errors,
        "unanswered": outcome.unanswered,
    }


def _played(run: tuple[Size, str, int]) -> Mapping[str, Any]:
    size, name, seed = run
    print(f"{name}, seed {seed}", file=sys.stderr)
    return simulated(size, name, seed)


def _check(seed: int) -> list[dict[str, Any]]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))  # every swap is logged
    return check(seed)
