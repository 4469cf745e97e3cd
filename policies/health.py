"""Whether a node is taken for well: one bad look does not lose it, one good look does not win it back.

A call that breaks off, though, is proof: the node is away at once. A node that falls again and again waits longer each
time before it is trusted. Time is whatever clock the caller gives, in seconds.
"""

from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthRule:
    """When a node is away, and when it is back."""

    bad_looks: int = 2
    """In a row, after which it is away."""
    good_looks: int = 2
    """In a row, after which it is back."""
    calm: float = 60.0
    """Seconds for which a fall is held against a node."""
    first_wait: float = 0.5
    """Seconds for which it stays away at least after its second fall; twice as long after each further one."""
    longest_wait: float = 8.0

    def wait(self, falls: int) -> float:
        """Seconds for which a node stays away at least that has fallen so often of late."""
        return 0.0 if falls < 2 else min(self.longest_wait, self.first_wait * 2.0 ** min(falls - 2, 64))


RULE: Final = HealthRule()


@dataclass(slots=True, eq=False)
class Health:
    """One node's. It is not well before the first good look, which is enough where there was no bad one."""

    rule: HealthRule = RULE
    well: bool = False
    back_from: float = 0.0
    """The moment before which it is not taken back."""
    _good: int = 0
    _bad: int = 0
    _falls: list[float] = field(default_factory=list)

    def good_look(self, now: float) -> None:
        """It answered, and takes requests."""
        self._bad = 0
        self._good += 1
        if not self.well and now >= self.back_from and self._good >= (self.rule.good_looks if self._falls else 1):
            self.well = True

    def bad_look(self, now: float) -> None:
        """It did not answer, or not as a node does."""
        self._good = 0
        self._bad += 1
        if self.well and self._bad >= self.rule.bad_looks:
            self._fall(now)

    def broke_off(self, now: float) -> None:
        """A call of a request broke off there."""
        self._good = 0
        if self.well:
            self._fall(now)

    def left(self) -> None:
        """It said itself that it takes no more requests; that is not held against it."""
        self._good = 0
        self.well = False

    def _fall(self, now: float) -> None:
        self.well = False
        self._falls = [moment for moment in self._falls if now - moment < self.rule.calm]
        self._falls.append(now)
        self.back_from = now + self.rule.wait(len(self._falls))
