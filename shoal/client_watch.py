"""How long a client takes, and how much is held for it meanwhile: one watch for each connection, asked now and then."""

from math import inf

HEAD_PATIENCE = 30.0
"""Seconds from the first byte of a head to its last."""
BODY_PATIENCE = 300.0
"""Seconds from then to the last byte of the body: the largest body over one megabit a second."""
STALL_PATIENCE = 60.0
"""Seconds in which a reader takes nothing of an answer."""
FILE_RATE = 16 * 1024
"""Bytes of a file that must come in a second, on the whole, after that time."""
ANSWER_PATIENCE = 300.0
"""Seconds in which a reader never catches up with what is written for it."""


class ClientWatch:
    """All times are of one clock, in seconds."""

    def __init__(self, now: float, keep_alive: float) -> None:
        self._due = now + keep_alive
        """When what is awaited of the client must have come."""
        self._begun_at = inf
        """When the request that is not complete began."""
        self.arrived = 0
        """Bytes of its body."""
        self._unsent = 0
        self._moved_at = self._behind_since = now

    @property
    def held_since(self) -> float:
        """Since when something of the client's lies here that is not complete."""
        return min(self._behind_since, self._begun_at)

    def request_begins(self, now: float) -> None:
        """The first byte of a head is there."""
        self._begun_at, self.arrived = now, 0
        self._due = now + HEAD_PATIENCE

    def head_ends(self) -> None:
        """And its last."""
        self._due += BODY_PATIENCE

    def file_arrives(self, size: int) -> None:
        """So many bytes more are there of a body that nobody keeps in memory."""
        self._due += size / FILE_RATE

    def request_ends(self) -> None:
        """Nothing more is awaited."""
        self.arrived, self._begun_at, self._due = 0, inf, inf

    def sends_too_slowly(self, now: float) -> bool:
        """Whether what is awaited of the client should have come."""
        return now > self._due

    def reads_too_slowly(self, now: float, unsent: int, *, file: bool = False) -> bool:
        """Whether the client leaves its answer lying, of which so many bytes are not sent; a `file` may take long."""
        if unsent == 0:
            self._behind_since = now
        if unsent == 0 or unsent != self._unsent:
            self._moved_at = now
        self._unsent = unsent
        return now - self._moved_at > STALL_PATIENCE or (not file and now - self._behind_since > ANSWER_PATIENCE)
