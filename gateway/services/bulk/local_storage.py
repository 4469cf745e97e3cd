"""Objects as files of a folder. Its name for itself, made with it, tells it from folders of other machines."""

import asyncio
import contextlib
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO, Self

from gateway.errors import StorageUnusable
from gateway.services.bulk.storage import PIECE, ObjectMissing, trouble

NAME = "storage-id"
LEFT = 6 * 3600.0
"""Seconds after which what nobody wrote to any more was left by a process that died."""


class LocalStorage:
    """A `FileStorage` in a folder of this machine, or of a disk that several mount."""

    shared = False

    def __init__(self, folder: Path, name: str, *, temporary: bool = False) -> None:
        self.id = f"local:{name}"
        self.folder = folder
        self._objects = folder / "objects"
        self._incoming = folder / "incoming"
        self._temporary = temporary

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Make the folder if need be. Raises StorageUnusable."""
        try:
            for part in ("objects", "incoming"):
                (folder / part).mkdir(mode=0o700, parents=True, exist_ok=True)
            return cls(folder, _name_of(folder))
        except OSError as error:
            raise StorageUnusable(f"Files can not be kept in {folder}: {error.strerror}.") from error

    @classmethod
    def temporary(cls) -> Self:
        """A folder that goes with the process, for tests and other short lives."""
        folder = cls.open(Path(tempfile.mkdtemp(prefix="shoal-files-"))).folder
        return cls(folder, _name_of(folder), temporary=True)

    @asynccontextmanager
    async def incoming(self) -> AsyncIterator["IncomingFile"]:
        """A file beside the objects, deleted if it was not kept."""
        path = self._incoming / secrets.token_hex(16)
        coming = await asyncio.to_thread(self._begin, path)
        try:
            yield IncomingFile(self, path, coming)
        finally:
            await asyncio.to_thread(_discard, path, coming)

    async def put(self, key: str, content: bytes) -> None:
        """Write, and move into place."""
        async with self.incoming() as coming:
            await coming.write(content)
            await coming.keep(key)

    async def read(self, key: str, start: int = 0) -> AsyncIterator[bytes]:
        """Piece by piece, none of it on the event loop."""
        try:
            source = await asyncio.to_thread(self.path(key).open, "rb")
        except FileNotFoundError:
            raise ObjectMissing(key) from None
        except OSError as error:
            raise trouble(error, self.folder) from error
        try:
            await asyncio.to_thread(source.seek, start)
            while piece := await asyncio.to_thread(source.read, PIECE):
                yield piece
        except OSError as error:
            raise trouble(error, self.folder) from error
        finally:
            source.close()

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete, with folders that become empty."""
        await asyncio.to_thread(self._delete, list(keys))

    async def keys(self, prefix: str) -> list[str]:
        """Look into the folder."""
        folder = self._objects / prefix
        return await asyncio.to_thread(lambda: sorted(f"{prefix}/{path.name}" for path in folder.glob("*")))

    async def tidy(self) -> None:
        """Delete incoming files that nobody has written to for long."""
        await asyncio.to_thread(self._tidy)

    async def close(self) -> None:
        """Delete a temporary folder."""
        if self._temporary:
            await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)

    def path(self, key: str) -> Path:
        """Where an object is. Keys are ours: nothing that a caller wrote is in them."""
        return self._objects / key

    def settle(self, path: Path, key: str) -> None:
        """Move a finished file into place, so that it stays there."""
        place = self.path(key)
        try:
            _move(path, place)
        except FileNotFoundError:  # the folder was empty, and somebody deleted it just then
            _move(path, place)
        for folder in (place.parent, self._objects):
            _sync_folder(folder)

    def _begin(self, path: Path) -> BinaryIO:
        try:
            return os.fdopen(
                os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w+b", buffering=0
            )
        except OSError as error:
            raise trouble(error, self.folder) from error

    def _delete(self, keys: list[str]) -> None:
        for key in keys:
            path = self.path(key)
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            with contextlib.suppress(OSError):  # it holds others
                path.parent.rmdir()

    def _tidy(self) -> None:
        for path in self._incoming.glob("*"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < time.time() - LEFT:
                    path.unlink()


class IncomingFile:
    """Bytes on their way to a file."""

    def __init__(self, storage: LocalStorage, path: Path, coming: BinaryIO) -> None:
        self.size = 0
        self.path = path
        self._storage = storage
        self._coming = coming

    async def write(self, content: bytes) -> None:
        """Add some, off the event loop."""
        await asyncio.to_thread(self._guarded, self._write, content)
        self.size += len(content)

    async def keep(self, key: str) -> None:
        """Have the disk hold it, then name it."""
        await asyncio.to_thread(self._guarded, self._keep, key)

    def _write(self, content: bytes) -> None:
        rest = memoryview(content)
        while rest:
            rest = rest[self._coming.write(rest) :]

    def _keep(self, key: str) -> None:
        os.fsync(self._coming.fileno())
        self._storage.settle(self.path, key)

    def _guarded(self, work, *arguments) -> None:  # type: ignore[no-untyped-def]
        try:
            work(*arguments)
        except OSError as error:
            raise trouble(error, self._storage.folder) from error


def _move(path: Path, place: Path) -> None:
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.replace(place)


def _discard(path: Path, coming: BinaryIO) -> None:
    coming.close()
    with contextlib.suppress(FileNotFoundError):
        path.unlink()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _name_of(folder: Path) -> str:
    """Made by whichever process comes first: a link is made whole or not at all."""
    place = folder / NAME
    if not place.exists():
        mine = folder / f"{NAME}-{secrets.token_hex(8)}"
        mine.write_text(secrets.token_hex(16))
        with contextlib.suppress(FileExistsError):
            os.link(mine, place)
        mine.unlink()
    return place.read_text()
