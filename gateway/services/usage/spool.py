"""The write-ahead file of usage: records on disk from before an answer leaves until the database has them.

A spool folder holds numbered slots, one per process that uses it now or once did; a slot holds numbered segments
(segment.py). A process claims the first slot that nobody holds, with whatever lies in it, and a living process empties
those that nobody claims (backlog.py). Memory holds no records: what waits, waits in the file, and is read from there
whether the process lived or not.
"""

import shutil
import tempfile
import weakref
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Self

import structlog

from gateway.errors import Unavailable
from gateway.services.usage.backlog import Backlog, claim
from gateway.services.usage.frames import frame
from gateway.services.usage.segment import Segment
from gateway.settings import USAGE_SPOOL_LIMIT

SEGMENT_BYTES = 4 * 1024 * 1024
RESERVE = 0.5
"""Share of a segment that is kept for what is being served: room for 4,000 records and more."""

log = structlog.get_logger(__name__)


class SpoolUnusable(Unavailable):
    """Usage can not be kept in this folder."""


class NoRoom(Unavailable):
    """Usage could not be made durable now, so nothing billable is served."""

    def __init__(self) -> None:
        super().__init__(
            "The server can not take requests at the moment; please try again.",
            code="usage_unavailable",
            retry_after=1.0,
        )


class Spool(Backlog):
    """The slot of this process. `append` serves requests; whoever opened it calls `keep` often, in a thread."""

    def __init__(self, slot: Path, lock: int, limit: int, segment_bytes: int) -> None:
        super().__init__(slot, lock)
        self._limit = limit
        self._segment_bytes = segment_bytes
        self._reserve = int(segment_bytes * RESERVE)
        taken = [int(path.stem) for path in slot.iterdir() if path.stem.isdigit()]
        self._numbers = count(max(taken, default=0) + 1)
        self._current: Segment | None = None
        self._spare: Segment | None = None
        self._refusing = False
        self.keep()

    @classmethod
    def open(cls, folder: Path, limit: int = USAGE_SPOOL_LIMIT, segment_bytes: int = SEGMENT_BYTES) -> Self:
        """Claim the first slot that nobody holds, with what lies in it. Raises SpoolUnusable, which says what to do."""
        if limit < 2 * segment_bytes:
            raise SpoolUnusable(f"The usage spool needs at least {2 * segment_bytes:,} bytes, more than {limit:,}.")
        try:
            return cls(*_free_slot(folder), limit, segment_bytes)
        except OSError as error:
            raise SpoolUnusable(
                f"Usage can not be kept in {folder}: {error.strerror}. Choose another folder with --usage-spool."
            ) from None

    @classmethod
    def temporary(cls) -> Self:
        """In a folder that goes with the object: for short lives whose usage nobody bills."""
        folder = tempfile.mkdtemp(prefix="shoal-usage-")
        spool = cls.open(Path(folder))
        weakref.finalize(spool, shutil.rmtree, folder, ignore_errors=True)
        return spool

    @property
    def has_room(self) -> bool:
        """Whether there is room for one more request and for all that are being served."""
        current, spare = self._current, self._spare
        room = current.size - current.end if current is not None else 0
        return room + (spare.size if spare is not None else 0) >= self._reserve

    @property
    def wants_keeping(self) -> bool:
        """Whether `keep` has anything to do."""
        return self._spare is None or any(segment.unsynced for segment in tuple(self._segments))

    def append(self, payload: bytes) -> None:
        """Have a record survive this process. Raises NoRoom where that can not be; then there is no such record."""
        framed = frame(payload)
        while (current := self._current or self._begin_spare()) is not None:
            if current.append(framed):
                return
            current.sealed = True
            self._current = None
        raise NoRoom

    def keep(self) -> None:
        """Make what was appended survive a loss of power, and the room that the next records need."""
        why = ""
        with self._one_at_a_time:
            try:
                for segment in tuple(self._segments):
                    segment.sync()
                if self._spare is None:
                    self._spare = self._new_segment()
            except OSError as error:
                why = error.strerror or repr(error)
        self._say(why)

    def abandoned(self) -> Sequence[Path]:
        """Slots beside this one that hold segments; some of them may be in use."""
        slots = sorted(self.slot.parent.iterdir())
        return [slot for slot in slots if slot != self.slot and slot.name.isdigit() and any(slot.glob("*.wal"))]

    def close(self) -> None:
        """Give the slot back, with what still waits in it for the next that claims it."""
        self._current = None
        if self._spare is not None:
            self._spare.discard()
            self._spare = None
        super().close()

    def _begin_spare(self) -> Segment | None:
        spare = self._spare
        if spare is not None:
            self._spare = None
            self._segments.append(spare)
            self._current = spare
        return spare

    def _new_segment(self) -> Segment:
        used = sum(_size(path) for path in self.slot.parent.glob("*/*.wal"))
        if used + self._segment_bytes > self._limit:
            raise OSError(0, f"{used:,} bytes wait for the database, and the limit is {self._limit:,}")
        return Segment.create(self.slot / f"{next(self._numbers):08}.wal", self._segment_bytes)

    def _say(self, why: str) -> None:
        if why and not self._refusing and not self.has_room:
            log.error("no more usage can be kept, so requests are refused", folder=str(self.slot), why=why)
            self._refusing = True
        elif self._refusing and self.has_room:
            log.info("usage is kept again, and requests are served", folder=str(self.slot))
            self._refusing = False


def _free_slot(folder: Path) -> tuple[Path, int]:
    number = 0
    while True:
        slot = folder / str(number)
        slot.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (lock := claim(slot)) is not None:
            return slot, lock
        number += 1


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # shipped a moment ago
        return 0
