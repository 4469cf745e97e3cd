"""The quick node beside the real engine: the same requests through both, by the same routing, on a few nodes."""

from typing import Any

from benchmarks.fleet.catalogue import models_that_fit
from benchmarks.fleet.play import Setting, play
from benchmarks.fleet.routers import Shoal
from benchmarks.fleet.traffic import trace
from benchmarks.simulation.fleet import POLL_INTERVAL, simulate
from benchmarks.simulation.node import NodeSize
from benchmarks.simulation.traffic import Arrival
from engine.memory.eviction import least_recently_used
from engine.protocol import ModelRef

NODES, MODELS, RATE, SECONDS = 8, 120, 80.0, 60.0
TEXT = 512
"""Tokens of a text; a request has as many texts as its tokens make."""


def check(seed: int) -> list[dict[str, Any]]:
    """One row for each of the two."""
    size = NodeSize(budget=6 * 2**30, host_budget=12 * 2**30)
    specs = models_that_fit(MODELS, size, seed)
    arrivals = list(trace(list(specs), rate=RATE, seconds=SECONDS, seed=seed))
    refs = {model: ModelRef(id=model, source="fake") for model in specs}
    real = simulate(
        [Arrival(one.time, refs[one.model], _texts(one.tokens), "flow", "interactive") for one in arrivals],
        {refs[model]: spec for model, spec in specs.items()},
        nodes=NODES,
        size=size,
        policy=least_recently_used,
    )
    setting = Setting(nodes=NODES, gateways=1, poll=POLL_INTERVAL, failures=0.0, size=size)
    quick = play(arrivals, specs, lambda _: Shoal(), setting, warm_up=0.0, seed=seed)
    waits = real.waits("interactive")
    return [
        _row("the real engine over a fake device", seed, real.hit_rate, real.loads, real.restores, waits),
        _row("the quick model of a node", seed, quick.hit_rate, quick.loads, quick.restores, quick.waits),
    ]


def _row(node: str, seed: int, hits: float, loads: int, restores: int, waits: list[float]) -> dict[str, Any]:
    return {
        "node": node,
        "seed": seed,
        "hit_rate": hits,
        "loads": loads,
        "restores": restores,
        "p50": waits[len(waits) // 2],
        "p99": waits[int(0.99 * len(waits))],
    }


def _texts(tokens: int) -> tuple[int, ...]:
    return (*[TEXT] * (tokens // TEXT), *([tokens % TEXT] if tokens % TEXT else []))
