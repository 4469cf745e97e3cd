"""What the console must know on every gateway: who is signed in, and how often somebody tried to sign in."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gateway.db.tables import ConsoleSession, SignInTry
from gateway.db.upserts import insert_into


async def console_session(session: AsyncSession, session_id: str) -> ConsoleSession | None:
    """One session."""
    return await session.get(ConsoleSession, session_id)


async def console_sessions(session: AsyncSession, operator: str) -> Sequence[ConsoleSession]:
    """Those of an operator, the newest first."""
    latest = col(ConsoleSession.started_at).desc(), col(ConsoleSession.id)
    return (
        await session.scalars(select(ConsoleSession).where(col(ConsoleSession.operator) == operator).order_by(*latest))
    ).all()


async def count_sessions(session: AsyncSession, now: datetime) -> Mapping[str, int]:
    """How many each operator has that are not over."""
    operator = col(ConsoleSession.operator)
    counted = select(operator, func.count()).where(col(ConsoleSession.expires_at) > now).group_by(operator)
    return {row[0]: row[1] for row in await session.execute(counted)}


async def end_sessions(session: AsyncSession, ids: Sequence[str]) -> int:
    """Delete these sessions. Returns how many there were."""
    ended = delete(ConsoleSession).where(col(ConsoleSession.id).in_(ids)).returning(col(ConsoleSession.id))
    return len((await session.execute(ended)).all())


async def end_sessions_of(session: AsyncSession, operator: str) -> None:
    """Delete all sessions of an operator."""
    await session.execute(delete(ConsoleSession).where(col(ConsoleSession.operator) == operator))


async def forget_sessions(session: AsyncSession, now: datetime) -> None:
    """Delete those that are over."""
    identity = col(ConsoleSession.id)
    over = select(identity).where(col(ConsoleSession.expires_at) <= now).with_for_update(skip_locked=True)
    await session.execute(delete(ConsoleSession).where(identity.in_(over)))


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
