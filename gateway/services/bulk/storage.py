"""Where the bytes of files are: a folder on this machine, or a bucket that speaks S3. Both hold objects by their keys.

An object is there as a whole or not at all, never changes, and once `put` or `take` return it survives a loss of power.
"""

import errno
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

from gateway.errors import StorageFull, Unavailable

PIECE = 256 * 1024
"""Bytes that are read or written at a time."""
FULL = (errno.ENOSPC, errno.EDQUOT)


class ObjectMissing(Exception):
    """What should be in the storage is not: somebody else deleted it."""


class Incoming(Protocol):
    """Bytes that come and are no object yet. What is not kept leaves nothing behind."""

    @property
    def size(self) -> int:
        """Bytes so far."""
        ...

    async def write(self, content: bytes) -> None:
        """Add some. Raises StorageFull, Unavailable."""
        ...

    async def keep(self, key: str) -> None:
        """Make them an object."""
        ...


class FileStorage(Protocol):
    """Holds objects."""

    @property
    def id(self) -> str:
        """Which storage this is, the same wherever it is reached from. No credentials in it."""
        ...

    @property
    def shared(self) -> bool:
        """Whether other machines reach it too."""
        ...

    def incoming(self) -> AbstractAsyncContextManager[Incoming]:
        """A place for bytes that come."""
        ...

    async def put(self, key: str, content: bytes) -> None:
        """Make an object. Raises StorageFull, Unavailable."""
        ...

    def read(self, key: str, start: int = 0) -> AsyncIterator[bytes]:
        """An object's bytes from `start` on. Raises ObjectMissing, Unavailable."""
        ...

    async def delete(self, keys: Iterable[str]) -> None:
        """Make sure that there are no such objects."""
        ...

    async def keys(self, prefix: str) -> list[str]:
        """Keys that begin with `prefix/`."""
        ...

    async def tidy(self) -> None:
        """Delete what came in and was left by a process that died."""
        ...

    async def close(self) -> None:
        """Let go."""
        ...


def trouble(error: OSError, where: Path | str) -> StorageFull | Unavailable:
    """What a failure of the system means to a caller."""
    if error.errno in FULL:
        return StorageFull()
    return Unavailable(
        f"Files can not be kept or read now ({error.strerror or where}); please try again later.",
        code="storage_unavailable",
        retry_after=5.0,
    )
