"""The fleet's numbers for people: medians over seeds."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.report import Table

Row = Mapping[str, Any]
Of = Callable[[str], float]
"""The median over seeds of one number."""


def routing_table(rows: Sequence[Row]) -> Table:
    """Where requests went."""
    return Table(
        "Ways to choose a node: hits, load and moves",
        [
            "way",
            "resident-hit rate",
            "load imbalance",
            "loads a minute",
            "restores a minute",
            "nodes per model",
            "busy",
        ],
        [
            [
                name,
                f"{of('hit_rate'):.1%}",
                f"{of('imbalance'):.2f}",
                f"{of('loads'):,.0f}",
                f"{of('restores'):,.0f}",
                f"{of('copies'):.2f}",
                f"{of('busy'):.0%}",
            ]
            for name, of in _grouped(rows, "router")
        ],
        "Medians over the seeds, after the warm-up of a fleet that began empty. A hit is a request that finds its "
        "model on the device of the node it comes to. *Load imbalance*: work of the busiest node over the mean of all, "
        "of every ten seconds, averaged over time; its most is 1 / *busy*, a node that never rests. A *load* is from "
        "disk, a *restore* from host memory; both together are the moves. Every way knows the same of the nodes: "
        "health by `policies.health`, status as old as the polling makes it.",
    )


def wait_table(rows: Sequence[Row]) -> Table:
    """How long requests waited."""
    return Table(
        "Ways to choose a node: waiting, from coming to a gateway to the first batch",
        ["way", "p50, ms", "p99, ms", "mean, ms", "longest queue over the mean", "retried", "failed", "unanswered"],
        [
            [
                name,
                *(f"{1000 * of(at):,.1f}" for at in ("p50", "p99", "mean")),
                f"{of('queues'):,.0f}",
                *(f"{of(what):,.0f}" for what in ("retries", "errors", "unanswered")),
            ]
            for name, of in _grouped(rows, "router")
        ],
        "*Retried*: the first node broke off. *Failed*: the second one too. *Unanswered*: not begun a minute after the "
        "last request came, at nodes that have more to do than they can.",
    )


def cost_table(rows: Sequence[Row]) -> Table:
    """What a call takes."""
    return Table(
        "What `choose_node` takes, µs",
        ["call", "calls", "median", "p99", "p99.9"],
        [[row["what"], f"{row['calls']:,}", *(f"{row[at]:,.1f}" for at in ("median", "p99", "p99.9"))] for row in rows],
        "A model that no node has is ranked over all nodes once, which a load of some hundred milliseconds follows.",
    )


def check_table(rows: Sequence[Row]) -> Table:
    """The model of a node beside the engine."""
    return Table(
        "Is the quick model of a node right? The same requests to eight nodes of each kind",
        ["nodes", "resident-hit rate", "loads", "restores", "wait p50, ms", "wait p99, ms"],
        [
            [
                name,
                f"{of('hit_rate'):.1%}",
                f"{of('loads'):,.0f}",
                f"{of('restores'):,.0f}",
                f"{1000 * of('p50'):,.1f}",
                f"{1000 * of('p99'):,.1f}",
            ]
            for name, of in _grouped(rows, "node")
        ],
        "The real residency and scheduler (`engine.simulation.fake`) are too slow for a thousand nodes. The quick "
        "model has their eviction rule and their turns (`engine.memory.eviction`, `engine.scheduling.turns`) in it.",
    )


def _grouped(rows: Sequence[Row], by: str) -> list[tuple[str, Of]]:
    return [(name, _median_of([row for row in rows if row[by] == name])) for name in dict.fromkeys(r[by] for r in rows)]


def _median_of(rows: Sequence[Row]) -> Of:
    return lambda number: median(float(row[number]) for row in rows)
