"""`shoal bench`: how fast a running server answers, from this machine."""

import sys
from typing import Annotated

import msgspec
import typer
import uvloop

from shoal.load.corpus import texts
from shoal.load.embeddings import count_tokens, embedding_requests
from shoal.load.measurement import Measurement
from shoal.load.run import Load, measure

CORPUS = 2048


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What `--json` prints: what was asked of the server, and what it did."""

    url: str
    model: str
    batch: int
    mean_tokens: float
    measured: Measurement


def bench(
    url: Annotated[str, typer.Argument(help="The server's address, such as http://127.0.0.1:8080.")],
    key: Annotated[str, typer.Option(envvar="SHOAL_API_KEY", help="The API key to measure with.")],
    model: Annotated[str, typer.Option(help="The model to ask for.")] = "all-minilm-l6-v2",
    connections: Annotated[int, typer.Option(min=1, max=10_000, help="Requests in flight at once.")] = 4,
    batch: Annotated[int, typer.Option(min=1, max=CORPUS, help="Texts in each request.")] = 32,
    duration: Annotated[
        float,
        typer.Option(min=0.1, help="Seconds to measure, after a fifth to warm up."),
    ] = 10.0,
    mean_tokens: Annotated[float, typer.Option(min=4, max=200, help="Mean length of the texts.")] = 20.0,
    rate: Annotated[
        float | None,
        typer.Option(min=0.1, help="Requests per second, evenly; else as fast as they are answered."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Load a running server with texts of mixed lengths and say how fast it answered."""
    load = Load(
        url=url,
        requests=embedding_requests(url, key, model, texts(CORPUS, mean=mean_tokens), batch),
        count_tokens=count_tokens,
        connections=connections,
        duration=duration,
        warmup=duration / 5,
        rate=rate,
    )
    outcome = Outcome(url=url, model=model, batch=batch, mean_tokens=mean_tokens, measured=uvloop.run(_measure(load)))
    typer.echo(msgspec.json.encode(outcome) if as_json else _table(outcome))
    if not outcome.measured.requests:
        raise typer.Exit(1)


async def _measure(load: Load) -> Measurement:
    seconds = load.warmup + load.duration
    with typer.progressbar(length=round(seconds * 1000), label="Measuring", file=sys.stderr) as bar:
        return await measure(load, lambda passed: bar.update(round(passed * 1000)))


def _table(outcome: Outcome) -> str:
    measured = outcome.measured
    rows = [
        ("tokens/s", f"{measured.tokens_per_second:,.0f}"),
        ("texts/s", f"{measured.requests_per_second * outcome.batch:,.1f}"),
        ("requests/s", f"{measured.requests_per_second:,.1f}"),
    ]
    if (spread := measured.latency_ms) is not None:
        rows.append(("latency", f"p50 {spread.p50:,.1f} ms, p90 {spread.p90:,.1f} ms, p99 {spread.p99:,.1f} ms"))
    errors = ", ".join(f"{kind}: {count}" for kind, count in measured.errors.items())
    rows.append(("errors", errors or "none"))
    if measured.first_error is not None:
        rows.append(("first error", measured.first_error))
    rows.append(("measuring cost", f"{measured.cpu_share:.1%} of one core"))
    head = (
        f"{outcome.model} at {outcome.url}: {measured.connections} connections, {outcome.batch} texts a request "
        f"of {outcome.mean_tokens:g} tokens in the mean, {measured.seconds:.1f} s"
    )
    return "\n".join([head, *(f"  {name:<15}{value}" for name, value in rows)])
