"""What waits in one slot of a spool folder: segments, oldest first, held by one process at a time.

A slot belongs to whoever holds the lock on its file `lock`, which the system takes from a process that dies. Slots are
never deleted, so nobody locks a file that somebody else has just removed.
"""

import fcntl
import os
from collections import deque
from pathlib import Path
from threading import Lock
from typing import NamedTuple, Self

import structlog

from gateway.services.usage.frames import Scan
from gateway.services.usage.segment import Segment

log = structlog.get_logger(__name__)


class Batch(NamedTuple):
    """Records on their way to the database."""

    segment: Segment
    found: Scan


class Backlog:
    """A slot that is ours: its segments, oldest first, to be read, and released once the database has them."""

    def __init__(self, slot: Path, lock: int) -> None:
        self.slot = slot
        self._lock = lock
        self._segments = deque(recovered(slot))
        self._one_at_a_time = Lock()

    @classmethod
    def adopt(cls, slot: Path) -> Self | None:
        """What a process that died left in its slot; None where somebody has claimed it. Raises OSError."""
        lock = claim(slot)
        return None if lock is None else cls(slot, lock)

    @property
    def waiting(self) -> int:
        """Records that the database does not have."""
        return sum(segment.waiting for segment in tuple(self._segments))

    @property
    def waiting_bytes(self) -> int:
        """Their size."""
        return sum(segment.end - segment.shipped for segment in tuple(self._segments))

    def read(self, most: int) -> Batch | None:
        """The oldest records, of one segment; None where nothing waits."""
        with self._one_at_a_time:
            for segment in tuple(self._segments):
                if segment.shipped < segment.end:
                    return Batch(segment, segment.read(most))
                self._drop_if_done(segment)
            return None

    def release(self, batch: Batch) -> None:
        """Forget records that the database has."""
        with self._one_at_a_time:
            batch.segment.ship(batch.found)
            self._drop_if_done(batch.segment)

    def set_aside(self, batch: Batch, why: str) -> None:
        """Keep the batch's file for a person to look at: something in it will never be billed."""
        log.error("a record can not be billed; its file is kept", file=str(batch.segment.path), why=why)
        batch.segment.damaged = True

    def close(self) -> None:
        """Give the slot back, with what still waits in it for the next that claims it."""
        with self._one_at_a_time:
            for segment in tuple(self._segments):
                segment.close()
                self._drop_if_done(segment)
            self._segments.clear()
            os.close(self._lock)

    def _drop_if_done(self, segment: Segment) -> None:
        if segment.sealed and segment.shipped >= segment.end:
            self._segments.remove(segment)
            segment.discard()


def claim(slot: Path) -> int | None:
    """The lock on a slot, as a descriptor that holds it; None where another process does."""
    lock = os.open(slot / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        if isinstance(error, BlockingIOError):
            return None
        raise
    return lock


def recovered(slot: Path) -> list[Segment]:
    """The segments in a slot that hold something, oldest first; the others are deleted."""
    segments = []
    for path in sorted(slot.glob("*.wal")):
        try:
            segment = Segment.recover(path)
        except OSError as error:
            log.error("usage can not be read; its file is left as it is", file=str(path), why=error.strerror)  # noqa: TRY400 (no traceback says more)
            continue
        if segment.shipped < segment.end:
            segments.append(segment)
        else:
            segment.discard()
    return segments
