"""How far a load is: told by the threads that fetch and read, asked by whoever reports the node's status."""

from threading import Lock
from typing import Literal, NamedTuple

Phase = Literal["look", "fetch", "wait", "read", "check", "restore"]
"""Finding a model and reading what it is; fetching its files from the hub; waiting for room on the device; reading its
weights to there; trying it out; copying it from host memory."""


class Stage(NamedTuple):
    """Where a load is, in bytes of its phase."""

    phase: Phase
    done: int
    total: int
    """0: the phase is not measured in bytes."""


class Progress:
    """One load, of which any thread may tell."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._stage = Stage("look", 0, 0)

    @property
    def stage(self) -> Stage:
        """Now."""
        return self._stage

    def enter(self, phase: Phase, total: int = 0) -> None:
        """Begin a phase of so many bytes. Again the same: more of it is known to be, and what is done stays."""
        with self._lock:
            done = self._stage.done if phase == self._stage.phase else 0
            self._stage = Stage(phase, done, total)

    def advance(self, count: int) -> None:
        """So many more bytes are done."""
        with self._lock:
            self._stage = self._stage._replace(done=self._stage.done + count)
