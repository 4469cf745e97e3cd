"""How fast the device is, measured over its last batches; and how long what waits will take it."""

from collections import deque
from typing import NamedTuple

from engine.protocol import Lane

WINDOW = 32
"""Batches."""

RETRY_BOUNDS = (0.1, 60.0)
"""Seconds."""


class BatchRecord(NamedTuple):
    """A batch that ran."""

    sequences: int
    tokens: int
    seconds: float
    lane: Lane = "interactive"


class Speed:
    """Of all workers together."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._recent: deque[BatchRecord] = deque(maxlen=WINDOW)

    def add(self, batch: BatchRecord) -> None:
        """Count a batch; the oldest of the window leaves."""
        self._recent.append(batch)

    @property
    def tokens_per_second(self) -> float:
        """0 before the first batch."""
        seconds = sum(batch.seconds for batch in self._recent) / self._workers
        return sum(batch.tokens for batch in self._recent) / seconds if seconds else 0.0

    def retry_after(self, tokens: int, part: float) -> float:
        """Seconds until `tokens` are done at this part of the speed; the least there is while none was measured."""
        least, most = RETRY_BOUNDS
        speed = self.tokens_per_second * part
        return min(max(tokens / speed, least), most) if speed else least
