"""The folder in which `shoal serve` keeps everything: database, session key, and where its engine node listens."""

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from shoal.failures import StartFailure


@dataclass(frozen=True, slots=True)
class RunningEngine:
    """How commands beside a running `shoal serve` reach its engine node."""

    node_url: str
    engine_secret: str


@dataclass(frozen=True, slots=True)
class DataFolder:
    """A data folder that exists and can be written."""

    path: Path

    @classmethod
    def at(cls, path: Path) -> "DataFolder":
        """Make the folder if need be. Raises StartFailure where it can not be made or written."""
        try:
            path.mkdir(parents=True, exist_ok=True)
            probe = path / ".writable"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise StartFailure(
                f"Can not write to the data folder {path}: {error.strerror}. Choose another with --data-dir."
            ) from None
        return cls(path.resolve())

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other servers out of the folder: two would count quotas apart. The lock goes with the process."""
        with (self.path / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StartFailure(
                    f"The data folder {self.path} is in use by another shoal serve. Stop that one, or choose another "
                    "folder with --data-dir."
                ) from None
            yield

    def session_key(self) -> bytes:
        """The key that signs console sessions: made once, readable by this user only."""
        path = self.path / "session.key"
        with contextlib.suppress(FileExistsError):
            write_private(path, secrets.token_bytes(32))
        return path.read_bytes()

    @contextlib.contextmanager
    def announced(self, engine: RunningEngine) -> Iterator[None]:
        """Let commands on this machine find the running engine node, as long as it runs."""
        path = self.path / "runtime.json"
        path.unlink(missing_ok=True)
        write_private(path, json.dumps(asdict(engine)).encode())
        try:
            yield
        finally:
            path.unlink(missing_ok=True)

    def running_engine(self) -> RunningEngine | None:
        """The engine node of the server that uses this folder now, if one does."""
        try:
            return RunningEngine(**json.loads((self.path / "runtime.json").read_bytes()))
        except FileNotFoundError:
            return None


def write_private(path: Path, content: bytes) -> None:
    """Write a new file that only this user can read. Raises FileExistsError where there is one."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
