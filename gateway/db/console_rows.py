"""What the console must know on every gateway: sessions that were ended, and how often somebody tried to sign in."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gateway.db.tables import EndedSession, SignInTry
from gateway.db.upserts import insert_into


async def end_session(session: AsyncSession, session_id: str, expires_at: datetime) -> None:
    """Note that a session has ended; again: nothing changes."""
    row = insert_into(session, EndedSession).values(id=session_id, expires_at=expires_at)
    await session.execute(row.on_conflict_do_nothing())


async def has_ended(session: AsyncSession, session_id: str) -> bool:
    """Whether the session was ended."""
    return await session.get(EndedSession, session_id) is not None


async def forget_ended(session: AsyncSession, now: datetime) -> None:
    """Delete sessions that would be over by now anyway."""
    over = select(col(EndedSession.id)).where(col(EndedSession.expires_at) <= now).with_for_update(skip_locked=True)
    await session.execute(delete(EndedSession).where(col(EndedSession.id).in_(over)))


async def lock_tries(session: AsyncSession, subjects: Sequence[bytes], now: float) -> Mapping[bytes, float]:
    """When the tries of each subject are drained; nobody else changes them until the transaction ends."""
    drained = {}
    for subject in sorted(subjects):  # in one order, so that two gateways can not wait for each other
        row = insert_into(session, SignInTry).values(subject=subject, drained_at=now)
        kept = row.on_conflict_do_update(
            index_elements=["subject"], set_={"drained_at": col(SignInTry.drained_at)}
        ).returning(col(SignInTry.drained_at))
        drained[subject] = (await session.scalars(kept)).one()
    return drained


async def set_tries(session: AsyncSession, drained: Mapping[bytes, float]) -> None:
    """Write what `lock_tries` read, changed."""
    for subject, until in drained.items():
        await session.execute(update(SignInTry).where(col(SignInTry.subject) == subject).values(drained_at=until))


async def forget_tries(session: AsyncSession, now: float, most: int) -> None:
    """Delete what is drained, and of the rest what is drained first where there are more than `most`."""
    subject, drained_at = col(SignInTry.subject), col(SignInTry.drained_at)
    over = select(subject).where(drained_at <= now).with_for_update(skip_locked=True)
    await session.execute(delete(SignInTry).where(subject.in_(over)))
    beyond = select(subject).order_by(drained_at.desc()).offset(most)
    await session.execute(delete(SignInTry).where(subject.in_(beyond)))
