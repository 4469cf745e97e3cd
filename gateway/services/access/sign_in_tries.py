"""How often somebody has tried to sign in, counted in the database: on whichever gateway they try, it is one count.

A count is the moment at which it is drained; each try moves that moment on by the time one try takes to be free again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db import console_rows


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many tries at once, and how many seconds until one of them is free again."""

    burst: int
    seconds_each: float

    def after_try(self, drained_at: float, now: float) -> tuple[float, float]:
        """When the count is drained with one try more, and for how many seconds that try comes too early.

        A count from the future, left by a clock that was put back, is a full one.
        """
        full = self.burst * self.seconds_each
        after = min(max(drained_at, now), now + full) + self.seconds_each
        return after, after - now - full


Counts = Sequence[tuple[bytes, Allowance]]
"""What a try counts for: keyed hashes, and what each allows."""


async def count_try(session: AsyncSession, counts: Counts, now: float) -> float:
    """Count one try in all of `counts`, or none of them. Returns 0, or the seconds to wait; `now` in Unix seconds."""
    drained = await console_rows.lock_tries(session, [subject for subject, _ in counts], now)
    after: Mapping[bytes, tuple[float, float]] = {
        subject: allowance.after_try(drained[subject], now) for subject, allowance in counts
    }
    wait = max(early for _, early in after.values())
    if wait > 0:
        return wait
    await console_rows.set_tries(session, {subject: until for subject, (until, _) in after.items()})
    return 0.0


async def forgive_try(session: AsyncSession, counts: Counts, now: float) -> None:
    """Take one try back: its password was right."""
    drained = await console_rows.lock_tries(session, [subject for subject, _ in counts], now)
    await console_rows.set_tries(
        session, {subject: drained[subject] - allowance.seconds_each for subject, allowance in counts}
    )


async def forget_tries(session: AsyncSession, now: float, most: int) -> None:
    """Drop counts that are drained, and the nearest to that beyond `most`."""
    await console_rows.forget_tries(session, now, most)
