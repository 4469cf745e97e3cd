"""How the end-to-end benchmark is told."""

import torch

from benchmarks.gemm import MAKERS
from benchmarks.report import Table, shown
from benchmarks.rounds import Spread, ratio

LOADS = {"4 connections, 32 texts each": (4, 32, 4000), "16 connections, 1 text each": (16, 1, 2500)}
"""Connections, texts in a request, and the tokens per second asked for on two cores."""
PEER_SORTED, PEER_32, PEER_1 = "all texts in one call, sorted", "32 texts a call, as they arrive", "1 text a call"
GEMM_ROWS = (20, 64, 320, 640, 2560)
IDLE_LIMITS = {"gateway": 150, "engine": 700}
"""MB."""

Numbers = dict[str, dict[str, Spread]]
Memory = dict[str, dict[str, float]]


def speed(numbers: Numbers, counts: list[int]) -> Table:
    """Tokens per second of all, and Shoal's share of the others'."""
    best = _best_gemm(numbers, MAKERS[0])
    rows = []
    for name, (_, _, target) in LOADS.items():
        found = numbers[name]
        rate = found["tokens/s"]
        rows.append(
            [
                f"Shoal over HTTP: {name}",
                shown(rate),
                f"{target:,}",
                shown(ratio(rate, numbers[PEER_SORTED]["tokens/s"]), ".2f"),
                shown(ratio(rate, numbers[PEER_32]["tokens/s"]), ".2f"),
                f"{ratio(rate, best).median:.0%}",
                " / ".join(f"{found[f'{share} ms'].median:,.0f}" for share in ("p50", "p90", "p99")),
            ]
        )
    rows += [
        [f"sentence-transformers in process: {name}", shown(numbers[name]["tokens/s"]), "", "", "", "", ""]
        for name in (PEER_SORTED, PEER_32, PEER_1)
    ]
    rows.append(["the model's matrix products alone, F.linear", shown(best), "", "", "", "100%", ""])
    columns = (
        "",
        "tokens/s",
        "target",
        "times peer sorted",
        "times peer as they arrive",
        "of the ceiling",
        "p50 / p90 / p99 ms",
    )
    mean = sum(counts) / len(counts)
    note = (
        f"Median of the rounds (lowest to highest). {len(counts)} texts of {min(counts)} to {max(counts)} tokens, mean "
        f"{mean:.1f}. Ratios are taken round by round; the peer is sentence-transformers."
    )
    return Table("Speed", columns, rows, note)


def ceiling(numbers: Numbers) -> Table:
    """What the machine could do at most."""
    rows = [
        [f"{rows:,}", *(shown(numbers["gemm"][f"{maker}, {rows} tokens"]) for maker in MAKERS)] for rows in GEMM_ROWS
    ]
    note = f"torch with {torch.get_num_threads()} threads. The ceiling above is F.linear at its best number of tokens."
    return Table("Matrix products alone, tokens/s", ("tokens at once", *MAKERS), rows, note)


def _best_gemm(numbers: Numbers, maker: str) -> Spread:
    return max((numbers["gemm"][f"{maker}, {rows} tokens"] for rows in GEMM_ROWS), key=lambda spread: spread.median)


def cost(numbers: Numbers) -> Table:
    """Who kept the cores busy."""
    parts = ("engine", "gateway", "generator")
    rows = [[name, *(f"{numbers[name][f'{part} cores'].median:.2f}" for part in parts)] for name in LOADS]
    idle = max(numbers[name]["idle server's cores"].high for name in (PEER_SORTED, PEER_32, PEER_1))
    note = f"While sentence-transformers ran, the idle server took at most {idle:.3f} cores."
    return Table("Who used the cores", ("", *parts), rows, note)


def memory_table(memory: Memory) -> Table:
    """What gateway and engine held."""
    rows = [[when, *(f"{sizes[part]:,.0f}" for part in IDLE_LIMITS)] for when, sizes in memory.items()]
    rows.append(["limit when idle", *(f"{limit}" for limit in IDLE_LIMITS.values())])
    return Table("Resident memory, MB", ("", *IDLE_LIMITS), rows)
