"""Files of tenants: a row that says what it is, and parts in a storage that are its bytes in order."""

import contextlib
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db import bulk_queries, bulk_rows
from gateway.db.bulk_rows import UPLOADED
from gateway.db.session import Database
from gateway.db.tables import File, FilePart
from gateway.errors import AuthenticationFailed, Conflict, FileNotThere, RequestError, Unavailable
from gateway.services.bulk.storage import FileStorage, Incoming, ObjectMissing
from gateway.services.ids import new_id

LIFETIME = timedelta(days=30)
"""For which a file is kept where its owner says nothing."""


def new_file_id() -> str:
    """As OpenAI's look."""
    return f"file-{new_id(24)}"


def part_key(file_id: str, number: int) -> str:
    """A key that no other try to write this part has: who lost his lease must not overwrite what counts."""
    return f"{file_id}/{number:06}-{new_id(8)}"


async def add_file(
    database: Database,
    storage: FileStorage,
    tenant_id: str,
    incoming: Incoming,
    *,
    filename: str,
    lifetime: timedelta | None,
    most_stored: int,
) -> File:
    """Keep what came as a file for batches. Raises RequestError where the tenant would have more than it may.

    Its row comes first and is shown last. So bytes always have a row, by which they are found whenever we end, and
    where it is unclear whether the row was shown, nothing is lost: only what is not shown is given up.
    """
    now = datetime.now(UTC)
    row = File(
        id=new_file_id(),
        tenant_id=tenant_id,
        purpose=UPLOADED,
        filename=filename,
        bytes=incoming.size,
        storage=storage.id,
        ready=False,
        created_at=now,
        expires_at=now + (lifetime or LIFETIME),
    )
    async with database.transaction() as session:
        await lock_tenant(session, tenant_id)
        check_room(await bulk_queries.stored_bytes(session, tenant_id), incoming.size, most_stored)
        session.add(row)
    part = FilePart(file_id=row.id, number=0, key=part_key(row.id, 0), bytes=incoming.size)
    try:
        await incoming.keep(part.key)
        await _show(database, storage, part)
    except BaseException:
        with contextlib.suppress(Unavailable):  # else the sweeper does so, a day later
            async with database.transaction() as session:
                await bulk_rows.give_up_upload(session, row.id)
        raise
    row.ready = True
    return row


async def _show(database: Database, storage: FileStorage, part: FilePart) -> None:
    async with database.transaction() as session:
        shown = await bulk_rows.show_upload(session, part)
    if not shown:  # the sweeper was here, perhaps before the bytes
        await storage.delete([part.key])
        raise Unavailable("The upload took too long; please try again.", code="upload_expired", retry_after=1.0)


async def lock_tenant(session: AsyncSession, tenant_id: str) -> None:
    """Let nobody else count or add to the tenant's files until the transaction ends. Raises AuthenticationFailed."""
    if not await bulk_queries.tenant_locked(session, tenant_id):
        raise AuthenticationFailed("This account is no more.", code="invalid_api_key")


def check_room(stored: int, more: int, most: int) -> None:
    """Raise RequestError where both together are too much."""
    if stored + more > most:
        raise RequestError(
            f"Your files would take {stored + more:,} bytes together, and {most:,} are the limit; delete some first.",
            code="storage_limit_exceeded",
            param="file",
        )


async def find_file(database: Database, tenant_id: str, file_id: str) -> File:
    """One file of the tenant. Raises FileNotThere."""
    async with database.reading() as session:
        found = await bulk_queries.file(session, tenant_id, file_id)
    if found is None:
        raise FileNotThere(file_id)
    return found


async def list_files(
    database: Database, tenant_id: str, *, purpose: str | None, after: str | None, limit: int, newest: bool
) -> tuple[Sequence[File], bool]:
    """One page of the tenant's files, and whether there are more. Raises FileNotThere for an `after` that is not."""
    async with database.reading() as session:
        place = None
        if after is not None:
            place = await bulk_queries.file(session, tenant_id, after)
            if place is None:
                raise FileNotThere(after, param="after")
        found = await bulk_queries.files(session, tenant_id, purpose, after=place, limit=limit + 1, newest=newest)
    return found[:limit], len(found) > limit


async def delete_file(database: Database, tenant_id: str, file_id: str) -> None:
    """Let nobody see the file any more; its bytes go a moment later (sweeping.py).

    Raises FileNotThere, and Conflict while a batch reads it.
    """
    async with database.transaction() as session:
        found = await bulk_queries.file(session, tenant_id, file_id)
        if found is None:
            raise FileNotThere(file_id)
        await lock_tenant(session, tenant_id)  # no batch on it begins meanwhile
        if (batch_id := await bulk_queries.reads_file(session, tenant_id, file_id)) is not None:
            raise Conflict(f"The batch {batch_id} still reads this file; cancel it first.", code="file_in_use")
        found.deleted_at = datetime.now(UTC)


async def parts_here(database: Database, storage: FileStorage, file: File) -> Sequence[FilePart]:
    """The parts of a file. Raises Unavailable where its storage is another one."""
    if file.storage != storage.id:
        raise Unavailable(
            "This file is kept where this server can not read it; please try again, another one may answer.",
            code="file_elsewhere",
            retry_after=1.0,
        )
    async with database.reading() as session:
        return await bulk_queries.parts(session, file.id)


async def content_of(storage: FileStorage, parts: Sequence[FilePart], start: int = 0) -> AsyncGenerator[bytes]:
    """The bytes of a file from `start` on. Raises ObjectMissing, Unavailable."""
    for part in parts:
        if start >= part.bytes:
            start -= part.bytes
            continue
        left = part.bytes - start
        async for piece in storage.read(part.key, start):
            left -= len(piece)
            yield piece
        if left:
            raise ObjectMissing(part.key)
        start = 0
