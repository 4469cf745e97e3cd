"""What the database says of it all, held against what clients received."""

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import text

from benchmarks.crashes.clients import Tally
from gateway.db.session import Database

RECORDS = """
    SELECT tenant_id, key_id, model, endpoint, lane, count(*) AS requests,
           sum(inputs) AS inputs, sum(tokens) AS tokens, sum(bytes_in) AS bytes_in, sum(bytes_out) AS bytes_out
    FROM usage_record GROUP BY tenant_id, key_id, model, endpoint, lane ORDER BY 1, 2, 3, 4, 5
"""
HOURS = RECORDS.replace("count(*) AS requests", "sum(requests) AS requests").replace(
    "usage_record", "usage_hour WHERE requests > 0"
)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Of one run. Requests are known by the ids that clients gave them."""

    kills: int
    seconds: float
    answered: int
    """Answers that clients received whole."""
    tokens_answered: int
    cut: int
    """Requests that were in flight at a kill, as the clients saw it."""
    tokens_cut: int
    """What these would have cost."""
    refused: dict[int, int]
    """Other answers, by status."""
    recorded: int
    """Records of the ledger with status 200."""
    tokens_recorded: int
    lost: list[str]
    """Answered, and not in the ledger with that many tokens."""
    doubled: list[str]
    """More than once in the ledger."""
    strangers: list[str]
    """In the ledger, and neither answered nor cut."""
    sums_agree: bool
    """Whether the sums per hour are those of the records."""
    spool_bytes: int
    """Left on disk after the end."""

    @property
    def holds(self) -> bool:
        """Whether invoices could be sent from it."""
        wrong = (
            not self.answered or self.lost or self.doubled or self.strangers or self.spool_bytes or not self.sums_agree
        )
        between = self.tokens_answered <= self.tokens_recorded <= self.tokens_answered + self.tokens_cut
        return between and not wrong


async def judge(database_url: str, spool: Path, tally: Tally, *, kills: int, seconds: float) -> Outcome:
    """Read the ledger, once nobody writes it any more."""
    database = Database.open(database_url)
    try:
        async with database.reading() as session:
            served = (
                await session.execute(text("SELECT request_id, tokens FROM usage_record WHERE status = 200"))
            ).all()
            records = _numbers((await session.execute(text(RECORDS))).all())
            hours = _numbers((await session.execute(text(HOURS))).all())
    finally:
        await database.close()
    tokens = {row[0]: row[1] for row in served}
    times = Counter(name for name, _ in served)
    return Outcome(
        kills=kills,
        seconds=seconds,
        answered=len(tally.answered),
        tokens_answered=sum(tally.answered.values()),
        cut=len(tally.cut),
        tokens_cut=sum(tally.cut.values()),
        refused=dict(tally.refused),
        recorded=len(served),
        tokens_recorded=sum(count for _, count in served),
        lost=[name for name, count in tally.answered.items() if tokens.get(name) != count],
        doubled=[name for name, count in times.items() if count > 1],
        strangers=[name for name in times if name not in tally.answered and name not in tally.cut],
        sums_agree=records == hours,
        spool_bytes=_left(spool),
    )


def _left(spool: Path) -> int:
    return sum(path.stat().st_size for path in spool.rglob("*.*"))


def _numbers(rows: Any) -> list[tuple[Any, ...]]:
    """Sums of bigint are decimals on PostgreSQL."""
    return [(*row[:5], *map(int, row[5:])) for row in rows]
