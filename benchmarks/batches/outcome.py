"""What became of a batch: its results and the ledger, held against its input."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import text

from gateway.db.session import Database

DECODE = msgspec.json.Decoder().decode
LEDGER = "SELECT id, tokens, inputs, request_id FROM usage_record WHERE lane = 'bulk'"
HOURS = "SELECT sum(requests) AS requests, sum(tokens) AS tokens FROM usage_hour WHERE lane = 'bulk'"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Of one batch."""

    status: str
    lines: int
    """Of the input."""
    results: int
    failures: int
    missing: int
    """Lines of the input with no result."""
    doubled: int
    """Lines with more than one."""
    in_order: bool
    """Whether the results have the order of the input."""
    tokens_reported: int
    """By the batch."""
    tokens_of_results: int
    tokens_recorded: int
    """In the ledger."""
    records: int
    records_agree: bool
    """Whether every result has its own record with its own tokens, and the sums per hour are those of the records."""

    @property
    def holds(self) -> bool:
        """Whether nothing is lost, doubled or out of order."""
        complete = (self.status, self.results, self.failures) == ("completed", self.lines, 0)
        paid = self.tokens_reported == self.tokens_of_results == self.tokens_recorded
        exact = self.records == self.lines and self.records_agree
        return complete and not self.missing and not self.doubled and self.in_order and paid and exact


async def judge(database_url: str, batch: dict[str, Any], names: Sequence[str], output: bytes) -> Outcome:
    """`names` are the custom_ids of the input in its order, `output` the file of results."""
    results = [DECODE(line) for line in output.splitlines()]
    found = [result["custom_id"] for result in results]
    counted = Counter(found)
    tokens = {
        result["response"]["request_id"]: result["response"]["body"]["usage"]["total_tokens"] for result in results
    }
    database = Database.open(database_url)
    try:
        async with database.reading() as session:
            records = (await session.execute(text(LEDGER))).all()
            hours = (await session.execute(text(HOURS))).one()
    finally:
        await database.close()
    recorded = {record.request_id: int(record.tokens) for record in records}
    total = sum(recorded.values())
    return Outcome(
        status=batch["status"],
        lines=len(names),
        results=len(results),
        failures=batch["request_counts"]["failed"],
        missing=len(set(names) - counted.keys()),
        doubled=sum(count > 1 for count in counted.values()),
        in_order=found == list(names),
        tokens_reported=batch["usage"]["total_tokens"],
        tokens_of_results=sum(tokens.values()),
        tokens_recorded=total,
        records=len(records),
        records_agree=recorded == tokens
        and (int(hours.requests or 0), int(hours.tokens or 0)) == (len(records), total),
    )
