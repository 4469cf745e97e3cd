"""Usage: what a tenant was served, record by record or summed, for invoices and disputes."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from litestar.types import Receive, Scope, Send
from msgspec import UNSET, UnsetType

from gateway.api.admin.lists import shown_as
from gateway.api.admin.operation import UNSEEN, Ask, operation
from gateway.api.admin.words import Moment
from gateway.services.usage.export import Format, Grain, export_usage, start_of_month
from gateway.services.usage.summary import By, summarize_usage

MEDIA: dict[Format, str] = {"csv": "text/csv", "jsonl": "application/jsonl"}


class Span(msgspec.Struct, forbid_unknown_fields=True):
    """From when to when."""

    start: Moment | UnsetType = UNSET
    """The first moment; without it, the first of this month (UTC)."""
    end: Moment | UnsetType = UNSET
    """The moment before which it ends; without it, now."""

    def bounds(self) -> tuple[datetime, datetime]:
        """Both ends, said or not."""
        now = datetime.now(UTC)
        start = start_of_month(now.date()) if self.start is UNSET else self.start
        return start, now + timedelta(seconds=1) if self.end is UNSET else self.end


class Export(Span, forbid_unknown_fields=True):
    """Which records, and how they are written."""

    format: Format = "csv"
    by: Grain = "record"
    """A line for every request, or sums of each key, model and route by time."""


class Summary(Span, forbid_unknown_fields=True):
    """What makes a line."""

    by: By = "day"


class Sum(msgspec.Struct, frozen=True):
    """What was used by one day, model or key; times in milliseconds, summed."""

    name: str
    requests: int
    failed: int
    refused: int
    """Not served and not billed."""
    inputs: int
    tokens: int
    bytes_in: int
    bytes_out: int
    latency_ms: float
    upstream_ms: float


class Sums(msgspec.Struct, frozen=True):
    """All lines."""

    data: list[Sum]


class Stream:
    """An ASGI response that is written as it is read from the database."""

    def __init__(self, first: str, rest: AsyncIterator[str], media: str) -> None:
        self._first = first
        self._rest = rest
        self._media = media

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Send it. A failure midway breaks the connection off, so that no half of an export looks whole."""
        headers = {"content-type": self._media, **UNSEEN}
        start: Any = {
            "type": "http.response.start",
            "status": 200,
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        await send(start)
        await send({"type": "http.response.body", "body": self._first.encode(), "more_body": True})
        async for text in self._rest:
            await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


@operation("GET", "/tenants/{tenant:str}/usage", right="tenant.look", media=tuple(MEDIA.values()))
async def export(ask: Ask, tenant: str, query: Export) -> Stream:
    """A tenant's usage, one line per request or sum, oldest first; streamed, however long it is."""
    start, end = query.bounds()
    pieces = export_usage(ask.services.database, tenant, start=start, end=end, form=query.format, by=query.by)
    first = await anext(pieces)  # before the status is sent: whether there is such a tenant shows here
    return Stream(first, pieces, MEDIA[query.format])


@operation("GET", "/tenants/{tenant:str}/usage/summary", right="tenant.look")
async def summarize(ask: Ask, tenant: str, query: Summary) -> Sums:
    """What a tenant used, summed by day, model or key."""
    start, end = query.bounds()
    async with ask.looking() as session:
        rows = await summarize_usage(session, tenant, start=start, end=end, by=query.by)
    return Sums(list(map(shown_as(Sum), rows)))


OPERATIONS = (export, summarize)
