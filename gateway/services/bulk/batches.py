"""Batches as their tenants see them: made, looked at, listed, cancelled. Who works on them is worker.py."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db import bulk_queries
from gateway.db.session import Database
from gateway.db.tables import Batch
from gateway.errors import BatchNotThere, Conflict, FileNotThere, RequestError
from gateway.services.bulk.files import check_room, lock_tenant, new_file_id
from gateway.services.ids import new_id

WINDOW = "24h"
WINDOW_LENGTH = timedelta(hours=24)
MOST_REQUESTS = 50_000
MOST_INPUTS = 50_000
"""Of one batch; OpenAI's own bounds."""
MOST_BATCHES = 1000
"""Of one tenant that have not ended."""


async def create_batch(
    database: Database,
    tenant_id: str,
    key_id: str,
    *,
    endpoint: str,
    input_file_id: str,
    labels: Mapping[str, str] | None,
    output_lifetime: int | None,
    most_stored: int,
) -> Batch:
    """A batch of an uploaded file, to be worked on soon. Raises FileNotThere, RequestError."""
    async with database.transaction() as session:
        await lock_tenant(session, tenant_id)
        source = await bulk_queries.file(session, tenant_id, input_file_id)
        if source is None:
            raise FileNotThere(input_file_id, param="input_file_id")
        if source.purpose != "batch":
            raise RequestError(
                f"The purpose of the file {input_file_id} is '{source.purpose}'; a batch reads one of purpose 'batch'.",
                param="input_file_id",
            )
        check_room(await bulk_queries.stored_bytes(session, tenant_id), 1, most_stored)
        if await bulk_queries.unfinished_batches(session, tenant_id) >= MOST_BATCHES:
            raise RequestError(
                f"{MOST_BATCHES:,} of your batches have not ended; wait for some, or cancel them.",
                code="too_many_batches",
                param="input_file_id",
            )
        now = datetime.now(UTC)
        row = Batch(
            id=f"batch_{new_id(24)}",
            tenant_id=tenant_id,
            key_id=key_id,
            endpoint=endpoint,
            completion_window=WINDOW,
            input_file_id=input_file_id,
            storage=source.storage,
            labels=None if labels is None else dict(labels),
            output_lifetime=output_lifetime,
            status="validating",
            output_file_id=new_file_id(),
            error_file_id=new_file_id(),
            created_at=now,
            expires_at=now + WINDOW_LENGTH,
        )
        session.add(row)
    return row


async def find_batch(database: Database, tenant_id: str, batch_id: str) -> Batch:
    """One batch of the tenant. Raises BatchNotThere."""
    async with database.reading() as session:
        return await _batch(session, tenant_id, batch_id)


async def list_batches(
    database: Database, tenant_id: str, *, after: str | None, limit: int
) -> tuple[Sequence[Batch], bool]:
    """One page of the tenant's batches, newest first, and whether there are more. Raises BatchNotThere."""
    async with database.reading() as session:
        place = None if after is None else await _batch(session, tenant_id, after, param="after")
        found = await bulk_queries.batches(session, tenant_id, after=place, limit=limit + 1)
    return found[:limit], len(found) > limit


async def cancel_batch(database: Database, tenant_id: str, batch_id: str) -> Batch:
    """Have the batch end with what it has so far. Again: nothing changes. Raises BatchNotThere, Conflict."""
    async with database.transaction() as session:
        row = await _batch(session, tenant_id, batch_id, locked=True)
        if row.status in {"validating", "in_progress"}:
            row.status, row.cancelling_at = "cancelling", datetime.now(UTC)
        elif row.status not in {"cancelling", "cancelled"}:
            raise Conflict(f"Cannot cancel a batch with status '{row.status}'.", code="batch_not_cancellable")
    return row


async def _batch(
    session: AsyncSession, tenant_id: str, batch_id: str, *, param: str = "id", locked: bool = False
) -> Batch:
    found = await bulk_queries.batch(session, tenant_id, batch_id, locked=locked)
    if found is None:
        raise BatchNotThere(batch_id, param)
    return found
