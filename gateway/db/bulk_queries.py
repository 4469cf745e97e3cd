"""Every SELECT of files and batches that a tenant asks for, with the tenant in the signature."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import Select, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gateway.db.tables import Batch, File, FilePart, Tenant

WORKING = ("validating", "in_progress", "finalizing", "cancelling")
"""Statuses of batches that somebody has to work on."""

UNREACHABLE = timedelta(days=7)
"""For which a file that was to be deleted counts at most; where its storage is there, it goes within a minute."""


async def file(session: AsyncSession, tenant_id: str, file_id: str) -> File | None:
    """One file of this tenant that is there to be seen."""
    if not _is_plain(file_id):
        return None
    return (await session.scalars(_files(tenant_id).where(col(File.id) == file_id))).one_or_none()


async def files(
    session: AsyncSession, tenant_id: str, purpose: str | None, *, after: File | None, limit: int, newest: bool
) -> Sequence[File]:
    """One page of a tenant's files, by the time at which they were made."""
    chosen = _files(tenant_id)
    if purpose is not None and not _is_plain(purpose):
        return []
    if purpose is not None:
        chosen = chosen.where(col(File.purpose) == purpose)
    order = (col(File.created_at), col(File.id))
    if after is not None:
        place = tuple_(after.created_at, after.id)
        chosen = chosen.where(tuple_(*order) < place if newest else tuple_(*order) > place)
    by = [part.desc() if newest else part.asc() for part in order]
    return (await session.scalars(chosen.order_by(*by).limit(limit))).all()


async def stored_bytes(session: AsyncSession, tenant_id: str) -> int:
    """What all files of a tenant take together, those that batches are still writing included.

    Not what was to be deleted long ago: nobody reaches its storage, and its tenant can do nothing about it.
    """
    long_ago = datetime.now(UTC) - UNREACHABLE
    over = func.coalesce(col(File.deleted_at), col(File.expires_at), datetime.now(UTC)) < long_ago
    total = select(func.coalesce(func.sum(col(File.bytes)), 0)).where(col(File.tenant_id) == tenant_id, ~over)
    return int((await session.execute(total)).scalar_one())


async def parts(session: AsyncSession, file_id: str) -> Sequence[FilePart]:
    """The pieces of a file, in order. Whose it is was asked before."""
    chosen = select(FilePart).where(col(FilePart.file_id) == file_id).order_by(col(FilePart.number))
    return (await session.scalars(chosen)).all()


async def batch(session: AsyncSession, tenant_id: str, batch_id: str, *, locked: bool = False) -> Batch | None:
    """One batch of this tenant; `locked` to change it."""
    if not _is_plain(batch_id):
        return None
    chosen = select(Batch).where(col(Batch.tenant_id) == tenant_id, col(Batch.id) == batch_id)
    return (await session.scalars(chosen.with_for_update() if locked else chosen)).one_or_none()


async def batches(session: AsyncSession, tenant_id: str, *, after: Batch | None, limit: int) -> Sequence[Batch]:
    """One page of a tenant's batches, newest first."""
    order = (col(Batch.created_at), col(Batch.id))
    chosen = select(Batch).where(col(Batch.tenant_id) == tenant_id)
    if after is not None:
        chosen = chosen.where(tuple_(*order) < tuple_(after.created_at, after.id))
    return (await session.scalars(chosen.order_by(*(part.desc() for part in order)).limit(limit))).all()


async def unfinished_batches(session: AsyncSession, tenant_id: str) -> int:
    """How many of a tenant's batches somebody has to work on."""
    counted = select(func.count()).where(col(Batch.tenant_id) == tenant_id, col(Batch.status).in_(WORKING))
    return int((await session.execute(counted)).scalar_one())


async def reads_file(session: AsyncSession, tenant_id: str, file_id: str) -> str | None:
    """The batch of this tenant, if there is one, that still reads a file."""
    chosen = select(col(Batch.id)).where(
        col(Batch.tenant_id) == tenant_id, col(Batch.input_file_id) == file_id, col(Batch.status).in_(WORKING)
    )
    return (await session.scalars(chosen.limit(1))).first()


async def tenant_locked(session: AsyncSession, tenant_id: str) -> bool:
    """Whether the tenant is still there; if so nobody else counts or adds to its files until the transaction ends."""
    chosen = select(col(Tenant.id)).where(col(Tenant.id) == tenant_id).with_for_update()  # SQLite has locked before
    return (await session.scalars(chosen)).first() is not None


def _is_plain(text: str) -> bool:
    """Whether it could be an id or a purpose of ours. PostgreSQL will not even look for a NUL."""
    return text.isascii() and text.isprintable()


def _files(tenant_id: str) -> Select[File]:
    lasting = or_(col(File.expires_at).is_(None), col(File.expires_at) > datetime.now(UTC))
    return select(File).where(
        col(File.tenant_id) == tenant_id, col(File.ready), col(File.deleted_at).is_(None), lasting
    )
