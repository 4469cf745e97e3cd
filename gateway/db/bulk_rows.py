"""The rows of bulk work as those see them who do it, for whichever tenant, and the writes of it.

They change no policies, so they move no revision and leave no audit. Whoever works on a batch names its lease with
every write: one that was lost changes nothing any more.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Update, and_, case, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gateway.db.bulk_queries import WORKING
from gateway.db.tables import Batch, File, FilePart, Tenant

UPLOADED = "batch"
"""The purpose of files that tenants send."""


async def now(session: AsyncSession) -> datetime:
    """The database's own clock, which is the same for every gateway. SQLite has none but that of its machine."""
    if session.get_bind().dialect.name == "postgresql":
        moment: datetime = (await session.execute(select(func.clock_timestamp()))).scalar_one()
        return moment.astimezone(UTC)
    return datetime.now(UTC)


async def unfinished(session: AsyncSession) -> Mapping[str, int]:
    """How many batches of all tenants are in each status that is not the last."""
    counted = select(col(Batch.status), func.count()).where(col(Batch.status).in_(WORKING)).group_by(col(Batch.status))
    return {status: int(count) for status, count in (await session.execute(counted)).all()}


async def free_batch(
    session: AsyncSession, storage: str, moment: datetime, besides: Sequence[str], *, locked: bool = False
) -> Batch | None:
    """The oldest batch of this storage that nobody works on; `locked` to take it.

    One of a tenant that is not among `besides` comes first. Those of suspended tenants wait, and are only ended. What
    was put back counts as made when it was.
    """
    put_back = and_(col(Batch.worker).is_(None), col(Batch.lease_until).is_not(None))
    since = case((put_back, col(Batch.lease_until)), else_=col(Batch.created_at))
    free = or_(col(Batch.lease_until).is_(None), col(Batch.lease_until) < moment)
    ending = or_(col(Batch.expires_at) < moment, col(Batch.status).in_(("finalizing", "cancelling")))
    chosen = (
        select(Batch)
        .join(Tenant, col(Tenant.id) == col(Batch.tenant_id))
        .where(col(Batch.status).in_(WORKING), col(Batch.storage) == storage, free)
        .where(or_(col(Tenant.suspended_at).is_(None), ending))
        .order_by(col(Batch.tenant_id).in_(besides), since)
        .limit(1)
    )
    if locked:
        chosen = chosen.with_for_update(of=Batch, skip_locked=True)
    return (await session.scalars(chosen)).first()


async def doomed_files(session: AsyncSession, storage: str, moment: datetime, *, limit: int) -> Sequence[File]:
    """Files of this storage that were deleted, belong to nobody, or have expired and are read by no batch."""
    owned = select(col(Tenant.id)).where(col(Tenant.id) == col(File.tenant_id)).exists()
    read = (
        select(col(Batch.id)).where(col(Batch.input_file_id) == col(File.id), col(Batch.status).in_(WORKING)).exists()
    )
    over = and_(col(File.expires_at) < moment, ~read)
    chosen = select(File).where(col(File.storage) == storage, or_(col(File.deleted_at).is_not(None), over, ~owned))
    return (await session.scalars(chosen.limit(limit))).all()


async def update_held(session: AsyncSession, batch_id: str, lease: str, values: Mapping[str, Any]) -> bool:
    """Change a batch that is held by this lease; False where it is not."""
    change = update(Batch).where(col(Batch.id) == batch_id, col(Batch.worker) == lease, col(Batch.status).in_(WORKING))
    return await _changed(session, change.values(**values))


async def advance(session: AsyncSession, batch_id: str, lease: str, chunk: int, values: Mapping[str, Any]) -> bool:
    """Move a held batch past its chunk of this number; False where it is not held, or past it already."""
    change = update(Batch).where(
        col(Batch.id) == batch_id,
        col(Batch.worker) == lease,
        col(Batch.chunks) == chunk,
        col(Batch.status).in_(WORKING),
    )
    return await _changed(session, change.values(chunks=chunk + 1, **values))


async def show_upload(session: AsyncSession, part: FilePart) -> bool:
    """Let an uploaded file be seen whose bytes are there; False where it was given up meanwhile."""
    shown = _hidden_uploads().where(col(File.id) == part.file_id).values(ready=True).returning(col(File.id))
    if (await session.execute(shown.execution_options(synchronize_session=False))).first() is None:
        return False
    session.add(part)
    return True


async def give_up_upload(session: AsyncSession, file_id: str) -> None:
    """Have an uploaded file deleted, unless it can be seen."""
    given_up = _hidden_uploads().where(col(File.id) == file_id).values(deleted_at=datetime.now(UTC))
    await session.execute(given_up)


async def give_up_uploads(session: AsyncSession, before: datetime, moment: datetime) -> None:
    """Have files deleted that came so long ago and never could be seen: whoever took them died."""
    given_up = _hidden_uploads().where(col(File.created_at) < before).values(deleted_at=moment)
    await session.execute(given_up)


async def grow_file(session: AsyncSession, part: FilePart) -> None:
    """Add a piece to a file."""
    session.add(part)
    grown = update(File).where(col(File.id) == part.file_id).values(bytes=col(File.bytes) + part.bytes)
    await session.execute(grown)


async def delete_files(session: AsyncSession, ids: Sequence[str]) -> None:
    """Forget files whose bytes are gone."""
    await session.execute(delete(FilePart).where(col(FilePart.file_id).in_(ids)))
    await session.execute(delete(File).where(col(File.id).in_(ids)))


async def delete_ownerless_batches(session: AsyncSession) -> None:
    """Forget batches of tenants that are gone."""
    owned = select(col(Tenant.id)).where(col(Tenant.id) == col(Batch.tenant_id)).exists()
    await session.execute(delete(Batch).where(~owned))


async def delete_ended_batches(session: AsyncSession, before: datetime) -> None:
    """Forget batches that ended so long ago, once their files are gone: whoever has these can look up what they are."""
    kept = or_(*(col(File.id) == col(place) for place in (Batch.output_file_id, Batch.error_file_id)))
    ended = and_(col(Batch.status).not_in(WORKING), col(Batch.ended_at) < before)
    await session.execute(delete(Batch).where(ended, ~select(col(File.id)).where(kept).exists()))


async def abandoned(session: AsyncSession, before: datetime, moment: datetime, *, limit: int) -> Sequence[Batch]:
    """Batches, to be ended, whose time ended long ago, and on which nobody could work: their storage is gone."""
    chosen = select(Batch).where(
        col(Batch.status).in_(WORKING),
        col(Batch.expires_at) < before,
        or_(col(Batch.lease_until).is_(None), col(Batch.lease_until) < moment),
    )
    return (await session.scalars(chosen.limit(limit).with_for_update(skip_locked=True))).all()


async def end_results(session: AsyncSession, batch: Batch, moment: datetime, lifetime: timedelta) -> None:
    """Let the files of a batch be seen that have lines, and forget those that have none."""
    for file_id, lines in ((batch.output_file_id, batch.completed), (batch.error_file_id, batch.failed)):
        if lines:
            shown = update(File).where(col(File.id) == file_id)
            await session.execute(shown.values(ready=True, created_at=moment, expires_at=moment + lifetime))
        else:
            await delete_files(session, [file_id])


def _hidden_uploads() -> Update:
    return update(File).where(~col(File.ready), col(File.deleted_at).is_(None), col(File.purpose) == UPLOADED)


async def _changed(session: AsyncSession, change: Update) -> bool:
    changed = change.returning(col(Batch.id)).execution_options(synchronize_session=False)
    return (await session.execute(changed)).first() is not None
