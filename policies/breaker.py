"""A circuit breaker for one node: while most calls fail there, none is made.

Closed, calls go through and are counted. Too many failures among those of the last seconds open it, and no call goes
through for a while; then it is half open and lets one through, whose outcome closes it or opens it for longer. Time is
whatever clock the caller gives, in seconds; chance is a number that the caller draws.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerRule:
    """When a breaker opens, and for how long."""

    failures: int = 5
    """That it takes at least."""
    share: float = 0.5
    """Of the calls that ended in the window which failed, at least."""
    window: float = 10.0
    """Seconds for which a call counts."""
    first: float = 0.5
    """Seconds open; twice as long each time that it opens again without having been closed for `longest`."""
    longest: float = 15.0
    jitter: float = 0.5
    """Up to so much longer, as a share, so that gateways do not all try again at once."""

    def open_for(self, times: int, draw: float) -> float:
        """Seconds open, when it opens for the so many-th time in a row; `draw` is from 0 to 1."""
        return min(self.longest, self.first * 2.0 ** min(times - 1, 64)) * (1 + self.jitter * draw)


RULE: Final = BreakerRule()

State = Literal["closed", "open", "half_open"]

Ticket = int
"""Names the period in which a call began: what a call of an earlier one brings says nothing of now."""


@dataclass(slots=True, eq=False)
class Breaker:
    """One node's: ask `admits` before a call, `begin` it, and `end` it with its ticket however it ends."""

    rule: BreakerRule = RULE
    open_until: float | None = None
    """None while it is closed."""
    _period: Ticket = 0
    _trial: bool = False
    _times: int = 0
    _closed_at: float = float("-inf")
    _ended: deque[tuple[float, bool]] = field(default_factory=deque)
    _failed: int = 0

    def state(self, now: float) -> State:
        """As it is shown."""
        if self.open_until is None:
            return "closed"
        return "open" if now < self.open_until else "half_open"

    def admits(self, now: float) -> bool:
        """Whether a call may be made now."""
        return self.open_until is None or (now >= self.open_until and not self._trial)

    def begin(self, now: float) -> Ticket:
        """A call is made. One that was not admitted is not counted."""
        if self.open_until is None:
            return self._period
        if not self.admits(now):
            return -1
        self._trial = True
        return self._period

    def end(self, ticket: Ticket, failed: bool | None, now: float, draw: float) -> None:
        """A call ended; None where that says nothing of the node, since its caller has left, say."""
        if ticket != self._period:
            return
        if self.open_until is not None:
            self._trial = False
            if failed:
                self._open(now, draw)
            elif failed is not None:
                self._close(now)
        elif failed is not None:
            self._count(now, failed)
            if self._failed >= self.rule.failures and self._failed >= self.rule.share * len(self._ended):
                self._open(now, draw)

    def reset(self, now: float) -> None:
        """The node was started anew; what its predecessor did is not held against it."""
        self._close(now)
        self._times = 0

    def _count(self, now: float, failed: bool) -> None:
        self._ended.append((now, failed))
        self._failed += failed
        while self._ended[0][0] <= now - self.rule.window:
            self._failed -= self._ended.popleft()[1]

    def _open(self, now: float, draw: float) -> None:
        if self.open_until is None and now - self._closed_at > self.rule.longest:
            self._times = 0
        self._times += 1
        self._period += 1
        self._forget()
        self.open_until = now + self.rule.open_for(self._times, draw)

    def _close(self, now: float) -> None:
        self._period += 1
        self._forget()
        self.open_until, self._closed_at = None, now

    def _forget(self) -> None:
        self._trial = False
        self._ended.clear()
        self._failed = 0
