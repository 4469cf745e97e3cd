"""Which lane the device works for next: interactive before bulk, and bulk by its share.

- Waiting bulk work ages by what overtakes it: while both lanes wait, an interactive token that goes first earns it
  share / (1 - share) tokens of credit, and bulk is served when its credit covers its next batch. So over any time in
  which both wait, I interactive tokens go with I * share / (1 - share) bulk ones, give or take a batch or a longer item
  of each: neither lane waits for more of the other than that.
- Nothing is earned or spent while only one lane waits: the device is never idle, and no share is saved up.
- A running batch is not interrupted, so an interactive item may find one bulk batch ahead of it on every worker. Bulk
  batches are therefore short while interactive work comes in (SHORT seconds at the measured speed, a SMALL-th of the
  budget at most), and grow to the full one while none does.
"""

from engine.protocol import Lane

BULK_SHARE = 0.1

SMALL = 4
"""What divides a batch's budget for bulk work among interactive work."""

SHORT = 0.025
"""Seconds that a batch of bulk work may take among interactive work: less than people notice."""

LEAST_TOKENS = 64
"""Below this a batch costs the same whatever is in it, so a slow device's bulk work is not cut smaller."""

RAMP = 8
"""A bulk batch may be as big as an eighth of the bulk work that was done since interactive work last came in."""


class LaneShare:
    """Decides by token counts and the speed at which they go."""

    def __init__(self, batch_tokens: int, bulk_share: float = BULK_SHARE) -> None:
        if not 0 < bulk_share < 1:
            raise ValueError(f"The bulk lane's share is a part of the device: above 0 and below 1, not {bulk_share}.")
        self.bulk_share = bulk_share
        self._batch_tokens = batch_tokens
        self._earning = bulk_share / (1 - bulk_share)
        self._credit = 0.0
        self._undisturbed = RAMP * batch_tokens
        self._short = batch_tokens

    def measured(self, tokens_per_second: float) -> None:
        """How fast one worker runs batches now."""
        self._short = max(round(SHORT * tokens_per_second), LEAST_TOKENS)

    def next(self, *, interactive: int, bulk: int) -> Lane | None:
        """Whose turn it is, from the tokens that wait in each lane; None where nothing does."""
        if not interactive or not bulk:
            return "interactive" if interactive else "bulk" if bulk else None
        return "bulk" if self._credit >= min(bulk, self.budget("bulk")) else "interactive"

    def budget(self, lane: Lane) -> int:
        """Tokens of the lane's next batch at most."""
        if lane == "interactive":
            return self._batch_tokens
        small = min(self._batch_tokens // SMALL, self._short)
        return min(max(self._undisturbed // RAMP, small, 1), self._batch_tokens)

    def part(self, lane: Lane, *, other_waits: bool) -> float:
        """Of the device's speed, what the lane can count on."""
        if not other_waits:
            return 1.0
        return self.bulk_share if lane == "bulk" else 1 - self.bulk_share

    def arrived(self, lane: Lane) -> None:
        """Something new waits."""
        if lane == "interactive":
            self._undisturbed = 0

    def took(self, lane: Lane, tokens: int, *, other_waits: bool) -> None:
        """A batch of a lane goes to the device, while the other lane waits or does not."""
        if lane == "interactive":
            earned = self._credit + tokens * self._earning
            self._credit = earned if other_waits else min(earned, 0.0)
        else:
            self._undisturbed += tokens
            self._credit = self._credit - tokens if other_waits else 0.0
