"""The folder in which `shoal serve` keeps everything: database, session key, and where its engine node listens."""

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from shoal.failures import StartFailure

SESSION_KEY_BYTES = 32
SECRET_KEY_BYTES = 32


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

    def session_key(self, chosen: str | None = None) -> bytes:
        """The key that signs console sessions: from the secret that was `chosen`, or made once and kept here.

        The kept one is readable by this user only. One that is cut short, by a full disk or whoever wrote there, is
        made anew: operators must sign in again.
        """
        if chosen is not None:
            return hashlib.sha256(b"shoal console sessions\0" + chosen.encode()).digest()
        path = self.path / "session.key"
        if path.exists() and path.stat().st_size < SESSION_KEY_BYTES:
            path.unlink()
        with contextlib.suppress(FileExistsError):
            if not path.exists():  # or a full disk would keep a server that has all it needs from starting
                write_private(path, secrets.token_bytes(SESSION_KEY_BYTES))
        return path.read_bytes()

    def secret_key(self, chosen: str | None = None) -> bytes:
        """The key that credentials in the database are encrypted with: of what was `chosen`, or one that is kept here.

        Raises StartFailure for a kept one that is cut short: a new one would make all credentials unreadable unseen.
        """
        if chosen is not None:
            return secret_key_from(chosen)
        path = self.path / "secret.key"
        with contextlib.suppress(FileExistsError):
            if not path.exists():
                write_private(path, secrets.token_bytes(SECRET_KEY_BYTES))
        key = path.read_bytes()
        if len(key) != SECRET_KEY_BYTES:
            raise StartFailure(
                f"{path} is damaged: it has {len(key)} bytes, not {SECRET_KEY_BYTES}. Restore it from a backup; or "
                "delete it, and set the credentials of all upstreams anew (shoal upstream set-key)."
            )
        return key

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
        except (FileNotFoundError, json.JSONDecodeError):  # none, or what a server left that was cut off
            return None


def secret_key_from(chosen: str) -> bytes:
    """The key that a chosen secret stands for."""
    return hashlib.sha256(b"shoal secrets at rest\0" + chosen.encode()).digest()


def write_private(path: Path, content: bytes) -> None:
    """Write a new file that only this user can read, whole or not at all. Raises FileExistsError where there is one."""
    descriptor, beginning = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        if path.exists():
            raise FileExistsError(path)
        Path(beginning).replace(path)
    finally:
        Path(beginning).unlink(missing_ok=True)
