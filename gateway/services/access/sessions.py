"""Console sessions that were signed out: kept until they would be over anyway, for every gateway to see."""

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db import console_rows


async def end_session(session: AsyncSession, session_id: str, expires: float) -> None:
    """From now on nobody accepts the session; `expires` is when it would be over, in Unix seconds."""
    await console_rows.end_session(session, session_id, datetime.fromtimestamp(expires, UTC))


async def has_ended(session: AsyncSession, session_id: str) -> bool:
    """Whether it was signed out."""
    return await console_rows.has_ended(session, session_id)


async def forget_ended(session: AsyncSession, now: float) -> None:
    """Drop those that are over at `now`, in Unix seconds."""
    await console_rows.forget_ended(session, datetime.fromtimestamp(now, UTC))
