"""Tokens per second over HTTP through gateway and engine, beside sentence-transformers and the machine's own limit.

python -m benchmarks end_to_end [--rounds 5] [--seconds 8] [--name end_to_end] [--dry]
"""

import argparse
import time

import torch
import uvloop

from benchmarks import machine
from benchmarks.end_to_end_tables import (
    GEMM_ROWS,
    LOADS,
    PEER_1,
    PEER_32,
    PEER_SORTED,
    ceiling,
    cost,
    memory_table,
    speed,
)
from benchmarks.gemm import MAKERS, Gemms, Shapes
from benchmarks.peer import Peer
from benchmarks.processes import NotMeasurable, cpu_seconds, peak_resident_bytes, resident_bytes
from benchmarks.report import Report, publish
from benchmarks.rounds import Step, interleave
from benchmarks.served import MODEL, Served, serving, starter_folder
from shoal.load.corpus import lengths, texts
from shoal.load.embeddings import count_tokens, embedding_requests
from shoal.load.run import Load, measure

CORPUS = 640
GEMM_SECONDS = 0.5
REST = 4.0
"""Seconds of quiet before memory is called idle."""


def main(arguments: list[str]) -> None:
    """Measure, print, and keep the results unless the run is dry."""
    options = argparse.ArgumentParser(prog="python -m benchmarks end_to_end")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=8.0, help="of each load in each round")
    options.add_argument("--name", default="end_to_end", help="of the files in results/")
    options.add_argument("--dry", action="store_true", help="print only")
    chosen = options.parse_args(arguments)
    here = machine.describe()
    folder = starter_folder()
    corpus, counts = texts(CORPUS), lengths(CORPUS)
    peer = Peer(folder, corpus, counts)
    with serving() as server:
        memory = {"before the first request": _memory(server)}
        steps = _http_steps(server, corpus, chosen.seconds) | _peer_steps(peer, server, chosen.seconds)
        _answered_once(server, corpus)
        memory["idle, model loaded"] = _memory(server)
        numbers = interleave({"gemm": _gemm_step(Shapes.of(folder)), **steps}, chosen.rounds)
        memory["idle, after the load"] = _memory(server)
        memory["peak"] = {
            "gateway": peak_resident_bytes(server.gateway) / 1e6,
            "engine": peak_resident_bytes(server.engine) / 1e6,
        }
    report = Report(
        name=chosen.name,
        title="End to end: all-MiniLM-L6-v2, float32, texts of mixed lengths",
        command=" ".join(["python -m benchmarks end_to_end", *arguments]),
        machine=here,
        tables=[speed(numbers, counts), ceiling(numbers), cost(numbers), memory_table(memory)],
        numbers={"rounds": numbers, "memory_mb": memory, "torch_threads": torch.get_num_threads()},
    )
    publish(report, keep=not chosen.dry)


def _http_steps(server: Served, corpus: list[str], seconds: float) -> dict[str, Step]:
    def step(connections: int, batch: int) -> Step:
        load = Load(
            url=server.url,
            requests=embedding_requests(server.url, server.key, MODEL, corpus, batch),
            count_tokens=count_tokens,
            connections=connections,
            duration=seconds,
            warmup=1.0,
        )

        def run() -> dict[str, float]:
            began, gateway, engine = time.perf_counter(), cpu_seconds(server.gateway), cpu_seconds(server.engine)
            measured = uvloop.run(measure(load))
            passed = time.perf_counter() - began
            if measured.errors or measured.latency_ms is None:
                raise NotMeasurable(f"The server did not answer everything: {measured.errors} {measured.first_error}")
            return {
                "tokens/s": measured.tokens_per_second,
                "requests/s": measured.requests_per_second,
                "p50 ms": measured.latency_ms.p50,
                "p90 ms": measured.latency_ms.p90,
                "p99 ms": measured.latency_ms.p99,
                "gateway cores": (cpu_seconds(server.gateway) - gateway) / passed,
                "engine cores": (cpu_seconds(server.engine) - engine) / passed,
                "generator cores": measured.cpu_share,
            }

        return run

    return {name: step(connections, batch) for name, (connections, batch, _) in LOADS.items()}


def _peer_steps(peer: Peer, server: Served, seconds: float) -> dict[str, Step]:
    def step(name: str) -> dict[str, float]:
        began, spent = time.perf_counter(), cpu_seconds(server.gateway, server.engine)
        if name == PEER_SORTED:
            rate = peer.sorted_at_once()
        else:
            rate = peer.as_they_arrive(32 if name == PEER_32 else 1, seconds)
        idle = (cpu_seconds(server.gateway, server.engine) - spent) / (time.perf_counter() - began)
        return {"tokens/s": rate, "idle server's cores": idle}

    return {name: lambda name=name: step(name) for name in (PEER_SORTED, PEER_32, PEER_1)}  # type: ignore[misc]


def _gemm_step(shapes: Shapes) -> Step:
    gemms = {f"{maker}, {rows} tokens": Gemms(shapes, rows, maker) for maker in MAKERS for rows in GEMM_ROWS}
    return lambda: {name: gemm.tokens_per_second(GEMM_SECONDS) for name, gemm in gemms.items()}


def _answered_once(server: Served, corpus: list[str]) -> None:
    requests = embedding_requests(server.url, server.key, MODEL, corpus, 1)
    load = Load(url=server.url, requests=requests, count_tokens=count_tokens, connections=1, duration=0.01, warmup=0.0)
    uvloop.run(measure(load))


def _memory(server: Served) -> dict[str, float]:
    time.sleep(REST)
    return {"gateway": resident_bytes(server.gateway) / 1e6, "engine": resident_bytes(server.engine) / 1e6}
