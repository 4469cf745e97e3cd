"""What the way through a gateway to a real engine process adds: the same question, straight and through it.

    python -m benchmarks hop [--rounds 5] [--seconds 4] [--name hop] [--dry]

The engine is `shoal engine` with a model of two thin layers, so that nothing of it is worth mentioning but the server.
The gateway, every policy on, is alone on core 0; engine and load generator share core 1. What is added is measured at
a pace that both keep up with; throughput per core is requests per CPU second of the gateway's process, for the engine
is full first.
"""

import argparse
import os
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import msgspec

from benchmarks import machine
from benchmarks.gateway_load import MEASURED_CORE, OTHER_CORE, step
from benchmarks.processes import NotMeasurable, free_port, running
from benchmarks.random_bert import TINY, write_bert
from benchmarks.report import Report, Table, publish, shown
from benchmarks.rounds import Spread, interleave, spread
from benchmarks.served import MODEL, SHOAL, STARTER, gateway_alone
from engine.protocol import MEDIA_TYPE, EmbedReply, EmbedRequest, ModelRef
from shoal.load.embeddings import embedding_requests

CONNECTIONS = 16
PACE = 200.0
"""Requests per second at which waiting is measured: engine and generator share a core, and a queue would hide it."""
MOST_ADDED_MS, LEAST_PER_CORE = 0.5, 1500
THROUGH, STRAIGHT = "through the gateway", "straight to the engine"
TEXTS = [" ".join(f"w{5 + (place * 7 + word) % 480}" for word in range(8)) for place in range(256)]


def main(arguments: list[str]) -> None:
    """Measure, print, and keep the results unless the run is dry."""
    options = argparse.ArgumentParser(prog="python -m benchmarks hop")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=4.0, help="of each load in each round")
    options.add_argument("--name", default="hop", help="of the files in results/")
    options.add_argument("--dry", action="store_true", help="print only")
    chosen = options.parse_args(arguments)
    here = machine.describe()
    if (os.cpu_count() or 1) < 2:
        raise NotMeasurable("This takes two cores: one for what is measured, one for what measures it.")
    os.sched_setaffinity(0, {OTHER_CORE})
    with ExitStack() as stack:
        folder = str(write_bert(Path(stack.enter_context(tempfile.TemporaryDirectory())), TINY))
        port = free_port()
        node = f"http://127.0.0.1:{port}"
        engine = [*SHOAL, "engine", "--port", str(port), "--device", "cpu", "--threads", "1"]
        stack.enter_context(running(engine, ready=f"{node}/health/live", core=OTHER_CORE))
        url, key, gateway = stack.enter_context(gateway_alone(node, MEASURED_CORE, source=folder))
        asked = embedding_requests(url, key, MODEL, TEXTS, 1)
        straight = engine_requests(node, folder)
        steps = {}
        for how, rate in (("paced", PACE), ("full", None)):
            measured = partial(step, seconds=chosen.seconds, connections=CONNECTIONS, rate=rate)
            steps[f"{THROUGH}, {how}"] = measured(url, asked, gateway)
            steps[f"{STRAIGHT}, {how}"] = measured(node, straight, None, tokens=engine_tokens)
        numbers = interleave(steps, chosen.rounds)
    report = Report(
        name=chosen.name,
        title="What the way through a gateway adds",
        command=" ".join(["python -m benchmarks hop", *arguments]),
        machine=here,
        tables=[_table(numbers)],
        numbers={"rounds": numbers},
    )
    publish(report, keep=not chosen.dry)


def engine_requests(node: str, source: str) -> list[bytes]:
    """What the gateway sends for one text each."""
    head = f"POST /embed HTTP/1.1\r\nhost: {node.removeprefix('http://')}\r\ncontent-type: {MEDIA_TYPE}\r\n"
    model = ModelRef(STARTER, source)
    bodies = [msgspec.msgpack.encode(EmbedRequest(model, [text])) for text in TEXTS]
    return [f"{head}content-length: {len(body)}\r\n\r\n".encode() + body for body in bodies]


def engine_tokens(body: bytes) -> int:
    """Of an engine's reply."""
    return sum(msgspec.msgpack.decode(body, type=EmbedReply).token_counts)


def _table(numbers: dict[str, dict[str, Spread]]) -> Table:
    through, straight = numbers[f"{THROUGH}, paced"], numbers[f"{STRAIGHT}, paced"]
    full, engine = numbers[f"{THROUGH}, full"], numbers[f"{STRAIGHT}, full"]
    pairs = zip(through["p50 ms"].rounds, straight["p50 ms"].rounds, strict=True)
    rows = [
        ("p50 through the gateway, ms", shown(through["p50 ms"], ".2f"), ""),
        ("p50 straight to the engine, ms", shown(straight["p50 ms"], ".2f"), ""),
        ("p50 added, ms", shown(spread([there - without for there, without in pairs]), ".2f"), f"< {MOST_ADDED_MS}"),
        ("p99 through the gateway, ms", shown(through["p99 ms"], ".2f"), ""),
        ("requests/s per core of the gateway", shown(full["requests per CPU second"]), f"≥ {LEAST_PER_CORE:,}"),
        ("requests/s reached through it", shown(full["requests/s"]), ""),
        ("requests/s straight to the engine", shown(engine["requests/s"]), ""),
        ("cores that the gateway took", shown(full["cores"], ".2f"), ""),
    ]
    return Table(
        f"{CONNECTIONS} connections, one text a request; latency at {PACE:g} requests/s",
        ["", "median (lowest to highest round)", "target"],
        rows,
    )
