"""One file of the spool: allocated whole before its first record, so that an append never meets a full disk.

It begins with a magic word and the offset up to which everything is in the database; frames follow (frames.py).
"""

import contextlib
import os
import struct
from pathlib import Path
from typing import Self

import structlog

from gateway.services.usage.frames import Scan, scan, whole_frames

HEADER = struct.Struct(">8sQ")
MAGIC = b"SHOALWAL"

log = structlog.get_logger(__name__)


class Segment:
    """`append` is for the one who serves requests, everything else for a thread that may wait."""

    def __init__(self, path: Path, size: int, descriptor: int | None) -> None:
        self.path = path
        self.size = size
        """Bytes that the file may hold."""
        self.shipped = HEADER.size
        """Everything before this offset is in the database."""
        self.end = HEADER.size
        """Where the next record goes."""
        self.sealed = descriptor is None
        """Nothing will be appended any more."""
        self.damaged = False
        """Kept for a person to look at once it is shipped."""
        self._descriptor = descriptor
        self.unsynced = False
        """A loss of power would lose some of it."""
        # Two counts instead of one: each has one thread that writes it.
        self._appended = self._taken = 0

    @property
    def waiting(self) -> int:
        """Records that are not in the database."""
        return self._appended - self._taken

    @classmethod
    def create(cls, path: Path, size: int) -> Self:
        """A new file with room for `size` bytes, or OSError and no file."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, size)
            os.pwrite(descriptor, HEADER.pack(MAGIC, HEADER.size), 0)
            os.fsync(descriptor)
            _sync_folder(path.parent)
        except OSError:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        return cls(path, size, descriptor)

    @classmethod
    def recover(cls, path: Path) -> Self:
        """A file that somebody left: what was torn at its end is cut off, and so is the room it never used."""
        content = path.read_bytes()
        segment = cls(path, len(content), None)
        if any(content):
            segment._read_header(content)
            segment._find_end(content)
        if not segment.damaged:
            os.truncate(path, segment.end)
            segment.size = segment.end
        return segment

    def append(self, framed: bytes) -> bool:
        """Write a frame behind the others; False where it has no room or can not be written."""
        if self._descriptor is None or self.end + len(framed) > self.size:
            return False
        try:
            written = os.pwrite(self._descriptor, framed, self.end)
        except OSError as error:
            log.error("usage can not be written", file=str(self.path), why=error.strerror)  # noqa: TRY400 (no traceback says more)
            return False
        if written < len(framed):
            return False
        self.end += written
        self._appended += 1
        self.unsynced = True
        return True

    def read(self, most: int) -> Scan:
        """The next records that are not shipped; damage among them is said, and remembered."""
        size = self.end - self.shipped
        with self.path.open("rb") as file:
            file.seek(self.shipped)
            found = scan(file.read(size), most)
        unread = 0 if len(found.payloads) == most else size - found.end
        if damaged := found.damaged + unread:
            self._say_damaged(damaged)
        return Scan(found.payloads, found.end + unread, damaged)

    def ship(self, found: Scan) -> None:
        """Remember that what `read` gave is in the database."""
        self.shipped += found.end
        self._taken += len(found.payloads)
        with self.path.open("r+b") as file:
            file.write(HEADER.pack(MAGIC, self.shipped))

    def sync(self) -> None:
        """Wait until what was appended would survive a loss of power."""
        if self._descriptor is None:
            return
        sealed = self.sealed
        if self.unsynced:
            self.unsynced = False  # before, for more may be appended meanwhile
            try:
                os.fdatasync(self._descriptor)
            except OSError:
                self.unsynced = True
                raise
        if sealed:
            self.close()

    def close(self) -> None:
        """Leave the file as it is."""
        self.sealed = True
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def discard(self) -> None:
        """Delete the file; where it is damaged, keep it aside under another name."""
        self.close()
        with contextlib.suppress(FileNotFoundError):
            if self.damaged:
                self.path.rename(self.path.with_suffix(".damaged"))
            else:
                self.path.unlink()

    def _read_header(self, content: bytes) -> None:
        magic, shipped = HEADER.unpack_from(content) if len(content) >= HEADER.size else (b"", 0)
        if magic == MAGIC and HEADER.size <= shipped <= len(content):
            self.shipped = shipped
        else:  # read it all again: the database knows what it has
            self._say_damaged(HEADER.size)

    def _find_end(self, content: bytes) -> None:
        rest = content[self.shipped :]
        end = damaged = 0
        for start, stop in whole_frames(rest):
            damaged += start - end
            end = stop
            self._appended += 1
        self.end = self.shipped + end
        if damaged:
            self._say_damaged(damaged)
        if torn := len(rest[end:].rstrip(b"\0")):
            log.warning("the last record of a file was torn; its answer never left", file=str(self.path), bytes=torn)

    def _say_damaged(self, size: int) -> None:
        if not self.damaged:
            log.error(
                "usage is damaged; the rest of the file is read, and the file kept", file=str(self.path), bytes=size
            )
        self.damaged = True


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
