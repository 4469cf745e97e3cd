"""Usage: what a tenant was served, record by record, for invoices and disputes."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from litestar.types import Receive, Scope, Send
from msgspec import UNSET, UnsetType

from gateway.api.admin.operation import UNSEEN, Ask, operation
from gateway.api.admin.words import Moment
from gateway.services.usage_export import Format, export_usage, start_of_month

MEDIA: dict[Format, str] = {"csv": "text/csv", "jsonl": "application/jsonl"}


class Export(msgspec.Struct, forbid_unknown_fields=True):
    """Which records, and how they are written."""

    start: Moment | UnsetType = UNSET
    """The first moment; without it, the first of this month (UTC)."""
    end: Moment | UnsetType = UNSET
    """The moment before which it ends; without it, now."""
    format: Format = "csv"


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
    """A tenant's usage, one line per request, oldest first; streamed, however long it is."""
    now = datetime.now(UTC)
    start = start_of_month(now.date()) if query.start is UNSET else query.start
    end = now + timedelta(seconds=1) if query.end is UNSET else query.end
    pieces = export_usage(ask.services.database, tenant, start=start, end=end, form=query.format)
    first = await anext(pieces)  # before the status is sent: whether there is such a tenant shows here
    return Stream(first, pieces, MEDIA[query.format])


OPERATIONS = (export,)
