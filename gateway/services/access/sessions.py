"""Console sessions: who is signed in, from where and until when. Every gateway sees the same; what is ended is out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db import console_rows, queries
from gateway.db.tables import ConsoleSession
from gateway.services.access.operators import OperatorInfo, operator_info, operator_row
from gateway.services.register.audit import Actor, begin_change, record

LONGEST_AGENT = 300
"""Characters that are kept of a browser's own words."""


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """A session that lasts."""

    ref: str
    """Names it to people; who knows it can not be taken for it."""
    operator: str
    started_at: datetime
    expires_at: datetime
    address: str
    agent: str


async def begin_session(
    session: AsyncSession,
    operator: OperatorInfo,
    session_id: str,
    *,
    start: float,
    end: float,
    address: str = "",
    agent: str = "",
) -> bool:
    """Let the operator in with the session of this id; `start` and `end` in Unix seconds.

    False where the operator is not any more as they were when the password was looked at: it may be another by now.
    """
    await begin_change(session)
    row = await queries.operator(session, operator.name)
    if row is None or operator_info(row) != operator:
        return False
    session.add(
        ConsoleSession(
            id=session_id,
            operator=operator.name,
            started_at=datetime.fromtimestamp(start, UTC),
            expires_at=datetime.fromtimestamp(end, UTC),
            address=address[:LONGEST_AGENT],
            agent=agent[:LONGEST_AGENT],
        )
    )
    await session.flush()
    return True


async def find_session_operator(session: AsyncSession, session_id: str, name: str) -> OperatorInfo | None:
    """Whose session it is, if it is that of the operator of this name, and lasts."""
    row = await console_rows.console_session(session, session_id)
    operator = None if row is None or row.operator != name else await queries.operator(session, name)
    return None if operator is None else operator_info(operator)


async def list_sessions(session: AsyncSession, operator: str, now: float) -> Sequence[SessionInfo]:
    """Those of an operator that are not over at `now` (Unix seconds), the newest first."""
    rows = await console_rows.console_sessions(session, operator)
    return [_info(row) for row in rows if row.expires_at.timestamp() > now]


async def count_sessions(session: AsyncSession, now: float) -> Mapping[str, int]:
    """How many each operator has at `now`; those without any are not in it."""
    return await console_rows.count_sessions(session, datetime.fromtimestamp(now, UTC))


async def end_sessions(
    session: AsyncSession, actor: Actor, operator: str, *, only: str | None = None, but: str | None = None
) -> int:
    """End sessions of an operator: `only` that of a reference, or all `but` one, by its id, or all.

    Returns how many; again: none.
    """
    await begin_change(session)
    row = await operator_row(session, operator)
    sessions = await console_rows.console_sessions(session, row.name)
    chosen = [one.id for one in sessions if one.id != but and only in {None, reference(one.id)}]
    ended = await console_rows.end_sessions(session, chosen)
    if ended:
        record(session, actor, "session.end", row.name, before={"sessions": ended})
        await session.flush()
    return ended


async def sign_out(session: AsyncSession, session_id: str, now: float) -> None:
    """End one's own session, and drop those that are over at `now`, in Unix seconds."""
    await console_rows.end_sessions(session, [session_id])
    await console_rows.forget_sessions(session, datetime.fromtimestamp(now, UTC))


def reference(session_id: str) -> str:
    """What names a session without its id."""
    return sha256(session_id.encode()).hexdigest()[:16]


def _info(row: ConsoleSession) -> SessionInfo:
    return SessionInfo(reference(row.id), row.operator, row.started_at, row.expires_at, row.address, row.agent)
