"""Are quotas exact? Four gateways, one Redis, 64 clients who want more than the limit, for requests, tokens and places.

python -m benchmarks exact_quotas [--seconds 75] [--dry]
"""

import argparse
import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import uvloop

from benchmarks import fake_engine, machine
from benchmarks.exactness import Admitted, Span, most_at_once, most_within, promise_kept, share_filled, share_used
from benchmarks.fake_engine import FakeEngine
from benchmarks.processes import NotMeasurable, free_port, running
from benchmarks.redis_server import redis_server
from benchmarks.report import Report, Table, publish
from benchmarks.served import SHOAL
from gateway.db import schema
from gateway.db.session import Database
from gateway.services.register import grants, keys, models, quotas, tenants
from gateway.services.register.audit import Actor
from gateway.settings import sqlite_url
from policies.quota import Kind
from shoal.load.connection import Connection, connect

ACTOR = Actor("benchmark", "local")
MODEL = "bench/model"
GATEWAYS = 4
CLIENTS = 64
PERIOD = 60.0
AWAY = -1
WARM_UP = 3.0
"""Seconds for places: the clients' first requests come to them at different times."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A limit, and what clients send against it."""

    kind: Kind
    amount: int
    text: str
    pause: float
    """Seconds that a client waits after a refusal."""


TRIALS = (
    Trial("requests", 1200, "Herring swim in shoals.", 0.06),
    Trial("tokens", 24_000, "Herring swim in shoals, and so do sardines, anchovies and mackerel.", 0.06),
    Trial("concurrency", 16, "__sleep 4__", 0.03),
)


class WatchedEngine(FakeEngine):
    """Remembers when it was at work."""

    def __init__(self) -> None:
        super().__init__()
        self.spans: list[Span] = []

    def answer(self, path: bytes, authorization: bytes, body: bytes) -> tuple[int, bytes, float]:
        """As the fake engine; work begins now and ends no earlier than its delay says."""
        status, reply, delay = super().answer(path, authorization, body)
        if path == b"/embed":
            now = time.perf_counter()
            self.spans.append(Span(now, now + delay))
        return status, reply, delay


@dataclass(frozen=True, slots=True)
class Fleet:
    """Gateways in front of one engine."""

    urls: Sequence[str]
    keys: Mapping[Kind, str]
    """An API key for every trial, of a tenant that has its limit."""
    engine: WatchedEngine


@dataclass(frozen=True, slots=True)
class Seen:
    """What clients and engine saw of a trial."""

    trial: Trial
    answers: Sequence[Admitted]
    spans: Sequence[Span]
    end: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a trial."""

    trial: Trial
    admitted: int
    refused: int
    away: int
    """Requests that met a Redis which did not answer in time; they were denied."""
    most: int
    """In any 60 seconds; of places, at one time."""
    promise: float
    """The most of what was promised that was ever given, over every window; above 1 it is broken."""
    used: float
    """Part of what could have been given."""


@contextlib.asynccontextmanager
async def fleet(redis_url: str, trials: Sequence[Trial]) -> AsyncIterator[Fleet]:
    """Four gateway processes on one database and one Redis."""
    engine = WatchedEngine()
    async with await fake_engine.serve(engine) as node:
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            made = await register(sqlite_url(Path(folder)), trials)
            options = ["--data-dir", folder, "--redis-url", redis_url]
            options += ["--node", f"http://127.0.0.1:{node.sockets[0].getsockname()[1]}"]

            def start(port: int) -> str:
                url = f"http://127.0.0.1:{port}"
                command = [*SHOAL, "gateway", *options, "--port", str(port)]
                stack.enter_context(running(command, ready=f"{url}/health/ready"))
                return url

            starting = [asyncio.to_thread(start, free_port()) for _ in range(GATEWAYS)]
            urls = await asyncio.gather(
                *starting, return_exceptions=True
            )  # none may be left behind by another's failure
            for url in urls:
                if isinstance(url, BaseException):
                    raise url
            yield Fleet([url for url in urls if isinstance(url, str)], made, engine)


async def register(database_url: str, trials: Sequence[Trial]) -> Mapping[Kind, str]:
    """The model, and for every trial a tenant with its limit; the tenants' keys."""
    await schema.upgrade(database_url)
    database = Database.open(database_url)
    made: dict[Kind, str] = {}
    async with database.transaction() as session:
        await models.add_model(session, ACTOR, models.NewModel(id=MODEL))
        for trial in trials:
            tenant = f"wants-{trial.kind}"
            await tenants.create_tenant(session, ACTOR, tenant)
            await grants.add_grant(session, ACTOR, tenant, "*")
            await quotas.set_quota(session, ACTOR, tenant, {trial.kind: trial.amount})
            made[trial.kind] = (await keys.create_key(session, ACTOR, tenant)).key
    await database.close()
    return made


async def play(fleet: Fleet, trial: Trial, seconds: float) -> Seen:
    """64 clients, spread over the gateways, ask for all that they can get for so many seconds."""
    request = _request(fleet.keys[trial.kind], trial.text)
    fleet.engine.spans = []
    end = time.perf_counter() + seconds
    clients = [_client(fleet.urls[number % GATEWAYS], request, trial.pause, end) for number in range(CLIENTS)]
    answers = [answer for answers in await asyncio.gather(*clients) for answer in answers]
    return Seen(trial, answers, fleet.engine.spans, end, seconds)


def judge(seen: Seen) -> Outcome:
    """What came of it."""
    trial, end = seen.trial, seen.end
    given = [answer for answer in seen.answers if answer.cost > 0]
    admitted = given if trial.kind == "tokens" else [answer._replace(cost=1) for answer in given]
    away = sum(answer.cost == AWAY for answer in seen.answers)
    refused = len(seen.answers) - len(admitted) - away
    if trial.kind == "concurrency":
        most = most_at_once(seen.spans)
        promise = most / trial.amount
        begin = min(span.began for span in seen.spans) + min(WARM_UP, seen.seconds / 4)
        used = share_filled(seen.spans, trial.amount, begin, end)
    else:
        most = most_within(admitted, PERIOD)
        promise = promise_kept(admitted, trial.amount, PERIOD)
        used = share_used(admitted, trial.amount, PERIOD, end)
    return Outcome(trial, len(admitted), refused, away, most, promise, used)


def _request(key: str, text: str) -> bytes:
    body = msgspec.json.encode({"model": MODEL, "input": text})
    head = f"POST /v1/embeddings HTTP/1.1\r\nhost: shoal\r\nauthorization: Bearer {key}\r\ncontent-length: {len(body)}"
    return head.encode() + b"\r\ncontent-type: application/json\r\n\r\n" + body


async def _client(url: str, request: bytes, pause: float, end: float) -> list[Admitted]:
    """What it sent, and what the answers cost in tokens; 0 for a refusal, AWAY where the quota store was."""
    loop = asyncio.get_running_loop()
    answers: list[Admitted] = []
    replied: asyncio.Future[tuple[int, bytes]] = loop.create_future()
    connection = Connection(lambda _, status, body: replied.set_result((status, body)))
    await connect(url, connection)
    while (sent := time.perf_counter()) < end:
        replied = loop.create_future()
        connection.send(request, sent)
        status, body = await replied
        if status == 200:
            cost = msgspec.json.decode(body)["usage"]["total_tokens"]
        elif status == 429 or b"quota_unavailable" in body:
            cost = 0 if status == 429 else AWAY
        else:
            raise NotMeasurable(f"A gateway answered {status}: {body[:300].decode(errors='replace')}")
        answers.append(Admitted(sent, time.perf_counter(), cost))
        if status != 200:
            await asyncio.sleep(pause)
    connection.close()
    return answers


async def play_all(redis_url: str, seconds: float, trials: Sequence[Trial] = TRIALS) -> list[Outcome]:
    """Every trial, one after the other, on one fleet."""
    async with fleet(redis_url, trials) as gateways:
        seen = [await play(gateways, trial, seconds) for trial in trials]
    return [judge(one) for one in seen]


def main(arguments: Sequence[str]) -> None:
    """Run it and say what came of it."""
    options = argparse.ArgumentParser(prog="python -m benchmarks exact_quotas", description=__doc__)
    options.add_argument("--seconds", type=float, default=75.0, help="of every trial")
    options.add_argument("--dry", action="store_true", help="print only")
    chosen = options.parse_args(arguments)
    here = machine.describe()
    with redis_server() as url:
        outcomes = uvloop.run(play_all(url, chosen.seconds))
    publish(
        Report(
            name="exact_quotas",
            title="Exact quotas",
            command=f"python -m benchmarks exact_quotas --seconds {chosen.seconds:g}",
            machine=here,
            tables=[_table(outcomes, chosen.seconds)],
            numbers={outcome.trial.kind: _numbers(outcome) for outcome in outcomes},
        ),
        keep=not chosen.dry,
    )


def _table(outcomes: Sequence[Outcome], seconds: float) -> Table:
    rows = [
        (
            outcome.trial.kind,
            f"{outcome.trial.amount:,}",
            f"{outcome.admitted:,} / {outcome.refused:,} / {outcome.away:,}",
            f"{outcome.most:,}",
            f"{outcome.promise:.2%}",
            f"{outcome.used:.2%}",
        )
        for outcome in outcomes
    ]
    return Table(
        f"{GATEWAYS} gateways, one Redis, {CLIENTS} clients, {seconds:g} s each",
        (
            "limit",
            "N",
            "admitted / refused / Redis late",
            "most in 60 s (places: at once)",
            "most of the promise",
            "used",
        ),
        rows,
        "A rate promises at most N + N · w / 60 in any w seconds, 2 N in a minute that finds it full; the column says "
        "how much of that was given at most, over the windows between every sending and every answer. `used` is the "
        "part given of N + N · t / 60 over the whole trial; of places, the part taken once all clients were there.",
    )


def _numbers(outcome: Outcome) -> dict[str, float]:
    return {
        "amount": outcome.trial.amount,
        "admitted": outcome.admitted,
        "refused": outcome.refused,
        "away": outcome.away,
        "most": outcome.most,
        "promise": outcome.promise,
        "used": outcome.used,
    }
