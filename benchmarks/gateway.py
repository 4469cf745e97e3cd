"""What the gateway alone costs: every policy on, the engine faked, one core for it and the other for all the rest.

    python -m benchmarks gateway [--rounds 5] [--seconds 5] [--name gateway] [--dry]

The gateway, and stock nginx for scale, run on core 0; load generator and upstream on core 1. That second core may be
full first, so throughput is requests per CPU second of the process measured: what a whole core of it serves.
"""

import argparse
import contextlib
import os
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack

import uvloop

from benchmarks import machine
from benchmarks.gateway_tables import (
    ALONE,
    CONNECTIONS,
    DIRECT,
    FULL,
    GATEWAY,
    NGINX,
    PACE,
    PACED,
    added,
    memory_table,
    throughput,
)
from benchmarks.nginx import proxying
from benchmarks.processes import NotMeasurable, cpu_seconds, free_port, peak_resident_bytes, resident_bytes, running
from benchmarks.report import Report, publish
from benchmarks.rounds import Step, interleave
from benchmarks.served import MODEL, gateway_alone
from shoal.load.corpus import texts
from shoal.load.embeddings import count_tokens, embedding_requests
from shoal.load.run import Load, measure

MEASURED_CORE, OTHER_CORE = 0, 1
CORPUS = 1024
DIMENSIONS = 1024
"""Makes replies of 5.6 KB: base64 of 1,024 float32."""


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
        url, key, gateway = stack.enter_context(gateway_alone(stack.enter_context(_fake_engine()), MEASURED_CORE))
        idle = resident_bytes(gateway)
        requests = embedding_requests(url, key, MODEL, texts(CORPUS), 1)
        upstream = stack.enter_context(_upstream(_reply(url, requests[0])))
        nginx_url, nginx = stack.enter_context(proxying(upstream, MEASURED_CORE))
        steps = {
            f"{who}, {how}": _step(address, requests, pid, how, chosen.seconds)
            for who, address, pid in (
                (GATEWAY, url, gateway),
                (NGINX, nginx_url, nginx),
                (DIRECT, f"http://127.0.0.1:{upstream}", None),
            )
            for how in (FULL, PACED, ALONE)
        }
        numbers = interleave(steps, chosen.rounds)
        memory = {
            "idle": idle / 1e6,
            "after the load": resident_bytes(gateway) / 1e6,
            "peak": peak_resident_bytes(gateway) / 1e6,
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


@contextlib.contextmanager
def _fake_engine() -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "benchmarks.fake_engine", "--port", str(port), "--dimensions", str(DIMENSIONS)]
    with running(command, ready=f"{url}/status", core=OTHER_CORE):
        yield url


@contextlib.contextmanager
def _upstream(reply: bytes) -> Iterator[int]:
    """The port of a server that gives the gateway's own reply at once."""
    port = free_port()
    with tempfile.NamedTemporaryFile() as body:
        body.write(reply)
        body.flush()
        command = [sys.executable, "-m", "benchmarks.fixed_reply", body.name, "--port", str(port)]
        with running(command, ready=f"http://127.0.0.1:{port}/", core=OTHER_CORE):
            yield port


def _reply(url: str, request: bytes) -> bytes:
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    path = lines[0].split()[1]
    with urllib.request.urlopen(urllib.request.Request(url + path, data=body, headers=headers)) as reply:  # noqa: S310
        answered: bytes = reply.read()
    return answered


def _step(url: str, requests: list[bytes], pid: int | None, how: str, seconds: float) -> Step:
    load = Load(
        url=url,
        requests=requests,
        count_tokens=count_tokens,
        connections=1 if how == ALONE else CONNECTIONS,
        duration=seconds,
        warmup=0.0,
        rate=PACE if how == PACED else None,
    )

    def run() -> dict[str, float]:
        spent = cpu_seconds(pid) if pid is not None else 0.0
        measured = uvloop.run(measure(load))
        if measured.errors or measured.latency_ms is None:
            raise NotMeasurable(f"Not everything was answered: {measured.errors} {measured.first_error}")
        numbers = {
            "requests/s": measured.requests_per_second,
            "p50 ms": measured.latency_ms.p50,
            "p99 ms": measured.latency_ms.p99,
            "generator cores": measured.cpu_share,
            "reply bytes": measured.bytes_received / measured.requests,
        }
        if pid is not None:
            spent = cpu_seconds(pid) - spent
            numbers |= {"cores": spent / measured.seconds, "requests per CPU second": measured.requests / spent}
        return numbers

    return run
