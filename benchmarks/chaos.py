"""What do clients notice when processes are killed? Three engines and two gateways, SIGKILL every few seconds.

    python -m benchmarks chaos [--seconds 180] [--every 5] [--seed 1] [--name chaos] [--dry]

The clients are OpenAI's SDK as it comes, with its two tries more: half ask nginx, half a gateway directly and the other
one when that takes no connections. Every vector is compared with sentence-transformers', every record of the ledger
with what was answered.
"""

import argparse
import asyncio
import random
import tempfile
from collections import Counter
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

SDK_RETRIES = 2
"""The SDK's own default."""
MOST_FAILING = 0.001


class Chaos(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    kills: dict[str, int]
    requests: int
    failures: list[str]
    wrong: list[str]
    longest: float
    longest_start: float
    ledger: Outcome
    said: str

    @property
    def holds(self) -> bool:
        """Whether nobody was let down."""
        return (
            self.ledger.holds and not self.wrong and not self.said and len(self.failures) < MOST_FAILING * self.requests
        )


def main(arguments: list[str]) -> None:
    """Run, print, and keep the results unless the run is dry. Raises NotMeasurable where somebody was let down."""
    options = argparse.ArgumentParser(prog="python -m benchmarks chaos")
    options.add_argument("--seconds", type=float, default=180.0)
    options.add_argument("--every", type=float, default=5.0, help="seconds between two kills, on average")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--name", default="chaos")
    options.add_argument("--dry", action="store_true", help="keep no results")
    chosen = options.parse_args(arguments)
    here = machine.describe()
    with tempfile.TemporaryDirectory() as folder:
        outcome = uvloop.run(chaos(Path(folder), chosen.seconds, chosen.every, chosen.seed))
    report = Report(
        name=chosen.name,
        title="What clients notice when processes are killed",
        command=" ".join(["python -m benchmarks chaos", *arguments]),
        machine=here,
        tables=[_table(outcome)],
        numbers={"outcome": outcome},
    )
    publish(report, keep=not chosen.dry)
    if not outcome.holds:
        raise NotMeasurable("\n".join(["Somebody was let down:", *outcome.failures, *outcome.wrong, outcome.said]))


async def chaos(
    folder: Path, seconds: float, every: float, seed: int, engines: int = ENGINES, *, at_least: int = 0
) -> Chaos:
    """Kill for so long, and so often however long it takes; one member at a time, the next when the last is back."""
    chance, kills = random.Random(seed), Counter[str]()
    right = truth()
    async with fleet(folder, engines) as running:
        async with loaded(running, right, SDK_RETRIES) as load:
            end = asyncio.get_running_loop().time() + seconds
            while asyncio.get_running_loop().time() < end or kills.total() < at_least:
                await asyncio.sleep(chance.uniform(0, 2 * every))
                member = chance.choice(running.members)
                await member.kill()
                kills[member.name] += 1
                await asyncio.sleep(chance.uniform(0, 1))
                await member.start()
        await running.stop()
        ledger = await judge(
            running.database_url, running.spools, load.tally, kills=kills.total(), seconds=load.seconds
        )
    return Chaos(
        kills=dict(sorted(kills.items())),
        requests=load.seen.requests,
        failures=load.seen.failures,
        wrong=load.seen.wrong,
        longest=load.seen.longest,
        longest_start=max(member.longest_start for member in running.members),
        ledger=ledger,
        said=complaints(running),
    )


def _table(outcome: Chaos) -> Table:
    ledger = outcome.ledger
    rows = [
        ("Seconds", f"{ledger.seconds:.0f}"),
        ("Kills", ", ".join(f"{name}: {kills}" for name, kills in outcome.kills.items())),
        ("Longest start of a member, s", f"{outcome.longest_start:.1f}"),
        ("Requests of the SDK's callers", f"{outcome.requests:,}"),
        ("… that failed after its own tries", f"{len(outcome.failures)}"),
        ("… with a wrong answer", f"{len(outcome.wrong)}"),
        ("Longest wait for an answer, tries included, s", f"{outcome.longest:.1f}"),
        ("Attempts that were answered", f"{ledger.answered:,}"),
        ("Attempts that were cut off, or answered by nginx alone", f"{ledger.cut:,}"),
        ("Answers of another status", ", ".join(f"{status}: {n}" for status, n in ledger.refused.items()) or "none"),
        ("Tokens of the answers", f"{ledger.tokens_answered:,}"),
        ("Tokens in the ledger", f"{ledger.tokens_recorded:,}"),
        ("… beyond the answers", f"{ledger.tokens_recorded - ledger.tokens_answered:,}"),
        ("… of attempts that were cut off, at most", f"{ledger.tokens_cut:,}"),
        ("Answers that are not in the ledger", f"{len(ledger.lost)}"),
        ("Records that are there twice", f"{len(ledger.doubled)}"),
        ("Records that nobody asked for", f"{len(ledger.strangers)}"),
        ("Sums per hour agree with the records", "yes" if ledger.sums_agree else "NO"),
        ("Bytes left in the spools", f"{ledger.spool_bytes}"),
    ]
    return Table(
        "Three engines, two gateways, one PostgreSQL, one Redis, nginx before the gateways",
        ["", "this run"],
        rows,
        "One member is down at a time; the next one is killed when the last one serves again. An attempt that was cut "
        "off may be in the ledger or not: its gateway may have died before or after it wrote the record. No other "
        "difference is allowed.",
    )
