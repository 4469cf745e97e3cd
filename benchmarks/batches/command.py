"""A batch must lose and double nothing when its gateway is killed, and people at a screen must not notice it.

    python -m benchmarks batches [--lines 50000] [--rate 5] [--quiet 30] [--fake] [--name batches] [--dry]

One `shoal gateway`, one `shoal engine` with the starter model (or, with `--fake`, an engine that makes vectors up), on
SQLite and this machine's disk. A trickle of interactive requests is timed for a while alone; then a batch is uploaded
and started beside it, the gateway is killed with SIGKILL when half of the lines are done, and started again. Then: all
results are there, once, in the order of the input, and so is every token in the ledger.
"""

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
import uvloop

from benchmarks import machine
from benchmarks.batches.outcome import Outcome, judge
from benchmarks.batches.trickle import Latency, Trickle
from benchmarks.crashes.gateways import Gateway, kept_alive
from benchmarks.crashes.tenants import prepare
from benchmarks.processes import NotMeasurable, free_port, running
from benchmarks.report import Report, Table, publish
from benchmarks.served import MODEL, SHOAL, starter_folder
from gateway.settings import sqlite_url
from shoal.load.corpus import texts

SETTLED = 3.0
"""Seconds before the first number counts: the model has to load."""
PATIENCE = 3600.0
DONE = frozenset({"completed", "failed", "expired", "cancelled"})
LOOK = 0.1


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    outcome: Outcome
    seconds: float
    """From the making of the batch to its end."""
    killed_at: int
    """Lines that were done then."""
    again_after: float
    """Seconds from the kill until more lines were done than before."""
    alone: Latency
    beside: Latency
    """Without the seconds in which there was no gateway."""
    unanswered: int
    refused: list[int]


def main(arguments: list[str]) -> None:
    """Run, print, and keep the results unless the run is dry. Raises NotMeasurable where a result is wrong."""
    options = argparse.ArgumentParser(prog="python -m benchmarks batches")
    options.add_argument("--lines", type=int, default=50_000)
    options.add_argument("--mean", type=float, default=12.0, help="tokens of a text, on average")
    options.add_argument("--rate", type=float, default=5.0, help="interactive requests per second")
    options.add_argument("--quiet", type=float, default=30.0, help="seconds for which they are timed alone")
    options.add_argument("--fake", action="store_true", help="an engine that makes vectors up")
    options.add_argument("--name", default="batches")
    options.add_argument("--dry", action="store_true", help="keep no results")
    chosen = options.parse_args(arguments)
    here = machine.describe()
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(
            Path(folder),
            sqlite_url(Path(folder)),
            lines=chosen.lines,
            mean=chosen.mean,
            rate=chosen.rate,
            quiet=chosen.quiet,
            fake=chosen.fake,
        )
    report = Report(
        name=chosen.name,
        title="A batch, and a gateway that is killed half-way",
        command=" ".join(["python -m benchmarks batches", *arguments]),
        machine=here,
        tables=tables(measured),
        numbers={"measured": measured},
    )
    publish(report, keep=not chosen.dry)
    if not measured.outcome.holds:
        raise NotMeasurable("Results or usage were lost, doubled or out of order: see above.")


def measure(
    folder: Path, database_url: str, *, lines: int, mean: float, rate: float, quiet: float, fake: bool
) -> Measured:
    """One run in a folder of its own, on an empty database."""
    key, *_ = uvloop.run(prepare(database_url, str(starter_folder()) if not fake else MODEL))
    with engine(fake) as node:
        port = free_port()
        place = ["--port", str(port), "--data-dir", str(folder), "--database-url", database_url]
        command = [*SHOAL, "gateway", *place, "--node", node]
        gateway = Gateway(f"http://127.0.0.1:{port}", command, folder / "gateway.log")
        inputs = texts(lines, mean=mean)
        return uvloop.run(_measure(gateway, database_url, key, inputs, rate, quiet))


@contextlib.contextmanager
def engine(fake: bool) -> Iterator[str]:
    """The address of a node."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    made_up = [sys.executable, "-m", "benchmarks.fake_engine", "--port", str(port), "--delay-ms", "50"]
    with running(
        made_up if fake else [*SHOAL, "engine", "--port", str(port)],
        ready=f"{url}/metrics" if not fake else f"{url}/status",
    ):
        yield url


async def _measure(
    gateway: Gateway, database_url: str, key: str, inputs: Sequence[str], rate: float, quiet: float
) -> Measured:
    names = [f"request-{number:06}" for number in range(len(inputs))]
    trickle = Trickle(gateway.url, key, inputs[:500], 1 / rate)
    headers = {"authorization": f"Bearer {key}"}
    async with kept_alive([gateway]), httpx.AsyncClient(base_url=gateway.url, headers=headers, timeout=120.0) as client:
        async with trickle.flowing():
            await asyncio.sleep(SETTLED)
            began = time.monotonic()
            await asyncio.sleep(quiet)
            started = time.monotonic()
            batch_id = await start(client, names, inputs)
            await _until(client, batch_id, lambda batch: _completed(batch) * 2 >= len(inputs))
            killed = time.monotonic()
            gateway.kill()
            await gateway.serving.wait()
            back = time.monotonic()
            done = _completed(await _until(client, batch_id, lambda _: True))
            await _until(client, batch_id, lambda batch: _completed(batch) > done or _is_over(batch))
            again = time.monotonic()
            batch = await _until(client, batch_id, _is_over)
            ended = time.monotonic()
        output = b""
        if batch["output_file_id"]:
            output = (await client.get(f"/v1/files/{batch['output_file_id']}/content")).raise_for_status().content
    outcome = await judge(database_url, batch, names, output)
    trickle.took = [(at, took) for at, took in trickle.took if not killed - 1.0 <= at <= back + 1.0]
    return Measured(
        outcome=outcome,
        seconds=ended - started,
        killed_at=done,
        again_after=again - killed,
        alone=trickle.between(began, started),
        beside=trickle.between(started, ended),
        unanswered=trickle.unanswered,
        refused=trickle.refused,
    )


async def start(client: httpx.AsyncClient, names: Sequence[str], inputs: Sequence[str]) -> str:
    """Upload the requests and make a batch of them; its id."""
    lines = [
        msgspec.json.encode(
            {
                "custom_id": name,
                "method": "POST",
                "url": "/v1/embeddings",
                "body": {"model": MODEL, "input": text, "encoding_format": "base64"},
            }
        )
        for name, text in zip(names, inputs, strict=True)
    ]
    form: dict[str, Any] = {"data": {"purpose": "batch"}, "files": {"file": ("in.jsonl", b"\n".join(lines))}}
    file = (await client.post("/v1/files", **form)).raise_for_status().json()
    asked = {"input_file_id": file["id"], "endpoint": "/v1/embeddings", "completion_window": "24h"}
    made: str = (await client.post("/v1/batches", json=asked)).raise_for_status().json()["id"]
    return made


async def _until(client: httpx.AsyncClient, batch_id: str, condition: Any) -> dict[str, Any]:
    """The batch once the condition holds. Raises NotMeasurable where it does not come to that."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(httpx.TransportError):
                reply = await client.get(f"/v1/batches/{batch_id}")
                if reply.status_code == 200:
                    batch: dict[str, Any] = reply.json()
                    if condition(batch):
                        return batch
                    if _is_over(batch):
                        raise NotMeasurable(f"The batch ended too soon: {batch}")
            await asyncio.sleep(LOOK)


def _completed(batch: dict[str, Any]) -> int:
    return int(batch["request_counts"]["completed"])


def _is_over(batch: dict[str, Any]) -> bool:
    return batch["status"] in DONE


def tables(measured: Measured) -> list[Table]:
    """For people."""
    outcome = measured.outcome
    rows = {
        "Lines of the input": f"{outcome.lines:,}",
        "Seconds": f"{measured.seconds:.0f}",
        "Lines per second": f"{outcome.lines / measured.seconds:,.0f}",
        "Lines done when the gateway was killed": f"{measured.killed_at:,}",
        "Seconds from the kill to the next lines": f"{measured.again_after:.1f}",
        "Results": f"{outcome.results:,}",
        "Lines without a result": f"{outcome.missing}",
        "Lines with more than one": f"{outcome.doubled}",
        "In the order of the input": "yes" if outcome.in_order else "NO",
        "Tokens of the results": f"{outcome.tokens_of_results:,}",
        "Tokens that the batch reports": f"{outcome.tokens_reported:,}",
        "Tokens in the ledger": f"{outcome.tokens_recorded:,}",
        "Records in the ledger, one for each line and no other": "yes" if outcome.records_agree else "NO",
    }
    latencies = [["alone", measured.alone], ["beside the batch", measured.beside]]
    return [
        Table("The batch", ["", "SQLite, this machine's disk"], [[name, value] for name, value in rows.items()]),
        Table(
            "Interactive requests, milliseconds",
            ["", "requests", "p50", "p99", "longest"],
            [
                [str(name), f"{one.requests:,}", f"{one.p50:.1f}", f"{one.p99:.1f}", f"{one.longest:.1f}"]
                for name, one in latencies
                if isinstance(one, Latency)
            ],
            "One short text each, at a steady rate. Left out are the second before the kill and those until one second "
            f"after the gateway served again, in which {measured.unanswered} requests met none. Of other statuses than "
            f"200 there were {len(measured.refused)}.",
        ),
    ]
