"""The simulation's numbers for people: medians over seeds."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.report import Table

Row = Mapping[str, Any]


def fleet_table(rows: Sequence[Row]) -> Table:
    """Hits and swaps of the whole fleet."""
    return Table(
        "The fleet: hits and swaps",
        ["trace", "policy", "hit rate", "swap-ins", "from disk", "from host", "least possible", "distance", "errors"],
        [
            [
                trace,
                policy,
                f"{of(lambda row: row['hit_rate']):.1%}",
                f"{of(_swap_ins):,.0f}",
                f"{of(lambda row: row['loads']):,.0f}",
                f"{of(lambda row: row['restores']):,.0f}",
                f"{of(lambda row: row['least']):,.0f}",
                f"{of(lambda row: _swap_ins(row) / row['least']):.2f} x",
                f"{of(lambda row: sum(row['errors'].values())):.0f}",
            ]
            for (trace, policy), of in _grouped(rows, "trace", "policy")
        ],
        "Medians over the seeds. A hit is a request that finds its model on the device of the node it is sent to. "
        "*Least possible*: swap-ins below which no schedule that serves in the order of arrival can get with one "
        "memory as large as all nodes' together, even one that knows the future (PFOO-L: the optimum has no fewer). "
        "*Distance*: swap-ins over that. The fleet pays for having several memories, and for copies of hot models; it "
        "gains where requests that wait for one model are served by one swap-in.",
    )


def wait_table(rows: Sequence[Row]) -> Table:
    """How long requests waited."""
    return Table(
        "The fleet: waiting, ms from coming to a node to the first batch",
        ["trace", "policy", "interactive p50", "interactive p99", "bulk p50", "bulk p99"],
        [
            [
                trace,
                policy,
                *(f"{1000 * of(_wait(at, lane)):,.1f}" for lane in ("interactive", "bulk") for at in ("p50", "p99")),
            ]
            for (trace, policy), of in _grouped(rows, "trace", "policy")
        ],
    )


def device_table(rows: Sequence[Row]) -> Table:
    """What the devices did."""
    return Table(
        "The fleet: the devices' time",
        ["trace", "policy", "busy, s", "idle while work waited", "idle while only models on their way were waited for"],
        [
            [
                trace,
                policy,
                f"{of(lambda row: row['busy']):,.0f}",
                f"{of(lambda row: row['starved'] / row['busy']):.2%}",
                f"{of(lambda row: row['swapping'] / row['busy']):.1%}",
            ]
            for (trace, policy), of in _grouped(rows, "trace", "policy")
        ],
        "Idle as a share of the busy time, all nodes together.",
    )


def verdict_table(rows: Sequence[Row], replays: Sequence[Row]) -> Table:
    """GDSF over LRU, seed by seed."""
    measures: list[tuple[str, Sequence[Row], Callable[[Row], float]]] = [
        ("fleet: swap-ins", rows, _swap_ins),
        ("fleet: mean interactive wait", rows, lambda row: float(row["mean"]["interactive"])),
        ("fleet: idle while only models on their way were waited for", rows, lambda row: float(row["swapping"])),
        ("one memory: misses", _by_policy(replays, "misses"), lambda row: float(row["misses"])),
        ("one memory: swap time", _by_policy(replays, "seconds"), lambda row: float(row["seconds"])),
    ]
    return Table(
        "GDSF against LRU, seed by seed",
        ["what, GDSF / LRU", "trace", "median", "lowest", "highest", "better in"],
        [
            [what, trace, f"{median(found):.2f}", f"{min(found):.2f}", f"{max(found):.2f}", _better(found)]
            for what, measured, number in measures
            for trace, found in _ratios(measured, number).items()
        ],
        "Below 1 GDSF does better. *One memory* over both sizes and both places that models come back from.",
    )


def replay_table(rows: Sequence[Row]) -> Table:
    """Policies and the optimum over the same sequence."""
    policies = [name for name in rows[0]["misses"] if name not in {"clairvoyant", "bound"}]
    measured = [*policies, "clairvoyant", "bound"]
    return Table(
        f"One memory, in order of arrival; models come back from {rows[0]['return']}",
        [
            "trace",
            "memory",
            *(f"hits: {name}" for name in measured),
            *(f"swap time: {name}" for name in measured),
        ],
        [
            [
                trace,
                f"{memory >> 30} GiB",
                *(f"{of(_hits(name)):.1%}" for name in measured),
                *(f"{of(_seconds(name)):,.0f} s" for name in measured),
            ]
            for (trace, memory), of in _grouped(rows, "trace", "memory")
        ],
        "The optimum with sizes lies between *clairvoyant* (a schedule that knows the future and can be had) and "
        "*bound* (PFOO-L; perhaps out of reach). *hits* of the bound minimises misses, *swap time* seconds.",
    )


Of = Callable[[Callable[[Row], float]], float]
"""The median over seeds of a number of a row."""


def _grouped(rows: Iterable[Row], *by: str) -> list[tuple[tuple[Any, ...], Of]]:
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in by), []).append(row)
    return [(key, _median_of(found)) for key, found in groups.items()]


def _median_of(rows: Sequence[Row]) -> Of:
    return lambda number: median(number(row) for row in rows)


def _swap_ins(row: Row) -> float:
    return float(row["loads"] + row["restores"])


def _hits(schedule: str) -> Callable[[Row], float]:
    return lambda row: 1 - row["misses"][schedule] / row["requests"]


def _seconds(schedule: str) -> Callable[[Row], float]:
    return lambda row: float(row["seconds"][schedule])


def _wait(quantile: str, lane: str) -> Callable[[Row], float]:
    return lambda row: float(row[quantile][lane])


def _by_policy(replays: Sequence[Row], number: str) -> list[Row]:
    """Replays as rows of one policy each."""
    return [{**row, "policy": policy, number: row[number][policy]} for row in replays for policy in ("LRU", "GDSF")]


def _ratios(rows: Sequence[Row], number: Callable[[Row], float]) -> dict[str, list[float]]:
    """GDSF over LRU by trace; rows alternate between the two."""
    found: dict[str, list[float]] = {}
    for lru, gdsf in zip(rows[::2], rows[1::2], strict=True):
        found.setdefault(lru["trace"], []).append(number(gdsf) / number(lru))
    return found


def _better(ratios: Sequence[float]) -> str:
    return f"{sum(ratio < 1 for ratio in ratios)} of {len(ratios)}"
