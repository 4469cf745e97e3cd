"""What the gateway's benchmarks have in common: which core does what, the faked engine, the upstream, and one load."""

import contextlib
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator

import uvloop

from benchmarks.processes import NotMeasurable, cpu_seconds, free_port, running
from benchmarks.rounds import Step
from shoal.load.embeddings import count_tokens
from shoal.load.run import Load, measure

MEASURED_CORE, OTHER_CORE = 0, 1
CORPUS = 1024
DIMENSIONS = 1024
"""Makes replies of 5.6 KB: base64 of 1,024 float32."""
CONNECTIONS = 32


@contextlib.contextmanager
def fake_engine() -> Iterator[str]:
    """The address of an engine that answers at once."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "benchmarks.fake_engine", "--port", str(port), "--dimensions", str(DIMENSIONS)]
    with running(command, ready=f"{url}/status", core=OTHER_CORE):
        yield url


@contextlib.contextmanager
def upstream(reply: bytes) -> Iterator[int]:
    """The port of a server that gives the gateway's own reply at once."""
    port = free_port()
    with tempfile.NamedTemporaryFile() as body:
        body.write(reply)
        body.flush()
        command = [sys.executable, "-m", "benchmarks.fixed_reply", body.name, "--port", str(port)]
        with running(command, ready=f"http://127.0.0.1:{port}/", core=OTHER_CORE):
            yield port


def reply_to(url: str, request: bytes) -> bytes:
    """The body with which the server at `url` answers a request as it goes over the wire."""
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    path = lines[0].split()[1]
    with urllib.request.urlopen(urllib.request.Request(url + path, data=body, headers=headers)) as reply:  # noqa: S310
        answered: bytes = reply.read()
    return answered


def step(
    url: str,
    requests: list[bytes],
    pid: int | None,
    seconds: float,
    *,
    connections: int = CONNECTIONS,
    rate: float | None = None,
    tokens: Callable[[bytes], int] = count_tokens,
) -> Step:
    """Measures a server under one load; `pid` is the process whose time is counted."""
    load = Load(
        url=url,
        requests=requests,
        count_tokens=tokens,
        connections=connections,
        duration=seconds,
        warmup=0.0,
        rate=rate,
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
