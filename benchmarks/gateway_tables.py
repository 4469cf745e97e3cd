"""How the gateway's benchmark is told."""

from benchmarks.gateway_load import CONNECTIONS
from benchmarks.report import Table, shown
from benchmarks.rounds import Spread, spread

PACE = 500.0
"""Requests per second at which waiting is measured: a third of what is asked for, so that queues stay short."""
GATEWAY, SHARED = "Shoal's gateway", "Shoal's gateway, quotas in Redis"
NGINX, DIRECT = "nginx", "straight to the upstream"
FULL, ALONE = f"{CONNECTIONS} connections", "1 connection"
PACED = {f"{connections} connections, {PACE:g} requests/s": connections for connections in (16, CONNECTIONS)}
TARGET_RATE = {GATEWAY: 1500, SHARED: 1000}
TARGET_ADDED_MS = {GATEWAY: 0.5, SHARED: 0.9}

Numbers = dict[str, dict[str, Spread]]


def throughput(numbers: Numbers) -> Table:
    """What a core of each serves."""
    rows = []
    for who in (GATEWAY, SHARED, NGINX, DIRECT):
        found = numbers[f"{who}, {FULL}"]
        own = "requests per CPU second" in found
        rows.append(
            [
                who,
                shown(found["requests per CPU second"]) if own else "",
                f"{1000 / found['requests per CPU second'].median:.3f}" if own else "",
                f"{TARGET_RATE[who]:,}" if who in TARGET_RATE else "",
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
        "second of its process. The gateway checks a key, two grants and eight limits and makes usage durable; nginx "
        "passes on. Redis, on the generator's core, is not counted."
    )
    return Table("Throughput", columns, rows, note)


def added(numbers: Numbers) -> Table:
    """What each adds to the wait."""
    rows = []
    for how in (ALONE, *PACED):
        straight = numbers[f"{DIRECT}, {how}"]
        for who in (GATEWAY, SHARED, NGINX):
            found = numbers[f"{who}, {how}"]
            pairs = zip(found["p50 ms"].rounds, straight["p50 ms"].rounds, strict=True)
            more = spread([there - without for there, without in pairs])
            rows.append(
                [
                    f"{who}, {how}",
                    shown(more, ".2f"),
                    f"{TARGET_ADDED_MS[who]}" if who in TARGET_ADDED_MS else "",
                    f"{found['p50 ms'].median:.2f}",
                    f"{straight['p50 ms'].median:.2f}",
                    f"{found['p99 ms'].median:.2f}",
                ]
            )
    note = (
        "Added: the median latency less the median straight to the upstream, in the same round. With all connections "
        "always busy, latency is only their number divided by the throughput; so it is measured below saturation, on "
        "cores that are kept awake: how long a machine takes to wake one is not the gateway's."
    )
    return Table("Latency", ("", "p50 added, ms", "target", "p50", "p50 straight", "p99"), rows, note)


def memory_table(memory: dict[str, dict[str, float]]) -> Table:
    """What the gateways held."""
    columns = ("", *next(iter(memory.values())))
    rows = [[who, *(f"{size:,.0f}" for size in sizes.values())] for who, sizes in memory.items()]
    return Table("Resident memory, MB", columns, rows)
