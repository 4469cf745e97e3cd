"""How the gateway's benchmark is told."""

from benchmarks.report import Table, shown
from benchmarks.rounds import Spread, spread

CONNECTIONS = 32
PACE = 500.0
"""Requests per second at which waiting is measured: a third of what is asked for, so that queues stay short."""
GATEWAY, NGINX, DIRECT = "Shoal's gateway", "nginx", "straight to the upstream"
FULL, PACED, ALONE = f"{CONNECTIONS} connections", f"{CONNECTIONS} connections, {PACE:g} requests/s", "1 connection"
TARGET_RATE, TARGET_ADDED_MS = 1500, 0.5

Numbers = dict[str, dict[str, Spread]]


def throughput(numbers: Numbers) -> Table:
    """What a core of each serves."""
    rows = []
    for who in (GATEWAY, NGINX, DIRECT):
        found = numbers[f"{who}, {FULL}"]
        own = "requests per CPU second" in found
        rows.append(
            [
                who,
                shown(found["requests per CPU second"]) if own else "",
                f"{1000 / found['requests per CPU second'].median:.3f}" if own else "",
                f"{TARGET_RATE:,}" if who == GATEWAY else "",
                shown(found["requests/s"]),
                f"{found['cores'].median:.2f}" if own else "",
                f"{found['generator cores'].median:.2f}",
            ]
        )
    columns = (
        "",
        "requests/s per core",
        "CPU ms per request",
        "target",
        "requests/s reached",
        "its cores",
        "generator's cores",
    )
    size = numbers[f"{GATEWAY}, {FULL}"]["reply bytes"].median
    note = (
        f"{CONNECTIONS} connections, one text a request, replies of {size:,.0f} bytes. Per core: requests per CPU "
        "second of its process. The gateway checks a key, two grants and six limits and records usage; nginx passes on."
    )
    return Table("Throughput", columns, rows, note)


def added(numbers: Numbers) -> Table:
    """What each adds to the wait."""
    rows = []
    for how in (ALONE, PACED):
        straight = numbers[f"{DIRECT}, {how}"]
        for who in (GATEWAY, NGINX):
            found = numbers[f"{who}, {how}"]
            pairs = zip(found["p50 ms"].rounds, straight["p50 ms"].rounds, strict=True)
            more = spread([there - without for there, without in pairs])
            rows.append(
                [
                    f"{who}, {how}",
                    shown(more, ".2f"),
                    f"{TARGET_ADDED_MS}" if who == GATEWAY else "",
                    f"{found['p50 ms'].median:.2f}",
                    f"{straight['p50 ms'].median:.2f}",
                    f"{found['p99 ms'].median:.2f}",
                ]
            )
    note = (
        "Added: the median latency less the median straight to the upstream, in the same round. With all connections "
        "always busy, latency is only their number divided by the throughput; so it is measured below saturation."
    )
    return Table("Latency", ("", "p50 added, ms", "target", "p50", "p50 straight", "p99"), rows, note)


def memory_table(memory: dict[str, float]) -> Table:
    """What the gateway held."""
    return Table("The gateway's resident memory, MB", tuple(memory), [[f"{size:,.0f}" for size in memory.values()]])
