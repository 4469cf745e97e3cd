"""What the gateway alone costs: every policy on, the engine faked, one core for it and the other for all the rest.

    python -m benchmarks gateway [--rounds 5] [--seconds 5] [--name gateway] [--dry]

The gateway, with quotas in memory and with quotas in Redis, and stock nginx for scale, run on core 0, one at a time;
load generator, upstream and Redis on core 1. That second core may be full first, so throughput is requests per CPU
second of the process measured: what a whole core of it serves.
"""

import argparse
import os
from contextlib import ExitStack

from benchmarks import machine
from benchmarks.gateway_load import (
    CONNECTIONS,
    CORPUS,
    MEASURED_CORE,
    OTHER_CORE,
    fake_engine,
    reply_to,
    step,
    upstream,
)
from benchmarks.gateway_tables import (
    ALONE,
    DIRECT,
    FULL,
    GATEWAY,
    NGINX,
    PACE,
    PACED,
    SHARED,
    added,
    memory_table,
    throughput,
)
from benchmarks.nginx import proxying
from benchmarks.processes import NotMeasurable, awake, peak_resident_bytes, resident_bytes
from benchmarks.redis_server import redis_server
from benchmarks.report import Report, publish
from benchmarks.rounds import interleave
from benchmarks.served import MODEL, gateway_alone
from shoal.load.corpus import texts
from shoal.load.embeddings import embedding_requests


def main(arguments: list[str]) -> None:
    """Measure, print, and keep the results unless the run is dry."""
    options = argparse.ArgumentParser(prog="python -m benchmarks gateway")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=5.0, help="of each load in each round")
    options.add_argument("--name", default="gateway", help="of the files in results/")
    options.add_argument("--dry", action="store_true", help="print only")
    chosen = options.parse_args(arguments)
    here = machine.describe()
    if (os.cpu_count() or 1) < 2:
        raise NotMeasurable("This takes two cores: one for what is measured, one for what measures it.")
    os.sched_setaffinity(0, {OTHER_CORE})
    with ExitStack() as stack:
        node = stack.enter_context(fake_engine())
        gateways = {
            GATEWAY: stack.enter_context(gateway_alone(node, MEASURED_CORE)),
            SHARED: stack.enter_context(gateway_alone(node, MEASURED_CORE, stack.enter_context(redis_server()))),
        }
        idle = {who: resident_bytes(pid) for who, (_, _, pid) in gateways.items()}
        requests = {
            who: embedding_requests(url, key, MODEL, texts(CORPUS), 1) for who, (url, key, _) in gateways.items()
        }
        behind = stack.enter_context(upstream(reply_to(gateways[GATEWAY][0], requests[GATEWAY][0])))
        nginx_url, nginx = stack.enter_context(proxying(behind, MEASURED_CORE))
        measured = {who: (url, requests[who], pid) for who, (url, _, pid) in gateways.items()}
        measured[NGINX] = (nginx_url, requests[GATEWAY], nginx)
        loads: dict[str, tuple[int, float | None]] = {FULL: (CONNECTIONS, None), ALONE: (1, None)}
        loads.update((how, (connections, PACE)) for how, connections in PACED.items())
        steps = {
            f"{who}, {how}": step(*what, chosen.seconds, connections=connections, rate=rate)
            for who, what in {**measured, DIRECT: (f"http://127.0.0.1:{behind}", requests[GATEWAY], None)}.items()
            for how, (connections, rate) in loads.items()
        }
        with awake(MEASURED_CORE, OTHER_CORE):
            numbers = interleave(steps, chosen.rounds)
        memory = {
            who: {
                "idle": idle[who] / 1e6,
                "after the load": resident_bytes(pid) / 1e6,
                "peak": peak_resident_bytes(pid) / 1e6,
            }
            for who, (_, _, pid) in gateways.items()
        }
    report = Report(
        name=chosen.name,
        title="The gateway alone: every policy on, the engine faked",
        command=" ".join(["python -m benchmarks gateway", *arguments]),
        machine=here,
        tables=[throughput(numbers), added(numbers), memory_table(memory)],
        numbers={"rounds": numbers, "memory_mb": memory},
    )
    publish(report, keep=not chosen.dry)
