"""Does a rollout fail requests? Three engines and two gateways are restarted in turn, by SIGTERM, under load.

    python -m benchmarks rolling [--rounds 3] [--name rolling] [--dry]

The clients are OpenAI's SDK without its own tries, so that every failure counts: half ask nginx, half a gateway
directly, over connections that they keep, and the other gateway when the first takes no connections.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path

import msgspec
import uvloop

from benchmarks import machine
from benchmarks.crashes.ledger import Outcome, judge
from benchmarks.endings.fleet import ENGINES, complaints, fleet
from benchmarks.endings.load import loaded
from benchmarks.endings.truth import truth
from benchmarks.processes import NotMeasurable
from benchmarks.report import Report, Table, publish

BETWEEN = 1.0
"""Seconds from when a member serves to when the next one stops."""


class Rolling(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    restarts: int
    requests: int
    failures: list[str]
    wrong: list[str]
    longest: float
    longest_stop: float
    longest_start: float
    ledger: Outcome
    said: str

    @property
    def holds(self) -> bool:
        """Whether nobody noticed, and the ledger is exact."""
        exact = self.ledger.tokens_answered == self.ledger.tokens_recorded
        return self.ledger.holds and exact and not (self.failures or self.wrong or self.said or self.ledger.cut)


def main(arguments: list[str]) -> None:
    """Run, print, and keep the results unless the run is dry. Raises NotMeasurable where a request failed."""
    options = argparse.ArgumentParser(prog="python -m benchmarks rolling")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--name", default="rolling")
    options.add_argument("--dry", action="store_true", help="keep no results")
    chosen = options.parse_args(arguments)
    here = machine.describe()
    with tempfile.TemporaryDirectory() as folder:
        outcome = uvloop.run(roll(Path(folder), chosen.rounds))
    report = Report(
        name=chosen.name,
        title="A rolling restart under load",
        command=" ".join(["python -m benchmarks rolling", *arguments]),
        machine=here,
        tables=[_table(outcome)],
        numbers={"outcome": outcome},
    )
    publish(report, keep=not chosen.dry)
    if not outcome.holds:
        raise NotMeasurable("\n".join(["Somebody noticed:", *outcome.failures, *outcome.wrong, outcome.said]))


async def roll(folder: Path, rounds: int, engines: int = ENGINES) -> Rolling:
    """Restart every member so many times, the next one when the last one serves again."""
    right, stops = truth(), [0.0]
    async with fleet(folder, engines) as running:
        async with loaded(running, right, retries=0) as load:
            for _ in range(rounds):
                for member in running.members:
                    await asyncio.sleep(BETWEEN)
                    stops.append(await member.stop())
                    await member.start()
            await asyncio.sleep(BETWEEN)
        await running.stop()
        ledger = await judge(running.database_url, running.spools, load.tally, kills=0, seconds=load.seconds)
    return Rolling(
        restarts=rounds * len(running.members),
        requests=load.seen.requests,
        failures=load.seen.failures,
        wrong=load.seen.wrong,
        longest=load.seen.longest,
        longest_stop=max(stops),
        longest_start=max(member.longest_start for member in running.members),
        ledger=ledger,
        said=complaints(running),
    )


def _table(outcome: Rolling) -> Table:
    ledger = outcome.ledger
    rows = [
        ("Seconds", f"{ledger.seconds:.0f}"),
        ("Restarts", f"{outcome.restarts}"),
        ("Longest stop of a member, s", f"{outcome.longest_stop:.1f}"),
        ("Longest start of a member, s", f"{outcome.longest_start:.1f}"),
        ("Requests", f"{outcome.requests:,}"),
        ("… that failed", f"{len(outcome.failures)}"),
        ("… with a wrong answer", f"{len(outcome.wrong)}"),
        ("Longest wait for an answer, s", f"{outcome.longest:.1f}"),
        ("Tokens of the answers", f"{ledger.tokens_answered:,}"),
        ("Tokens in the ledger", f"{ledger.tokens_recorded:,}"),
    ]
    return Table(
        "Three engines, two gateways, one PostgreSQL, one Redis, nginx before the gateways", ["", "this run"], rows
    )
