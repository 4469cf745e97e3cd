"""What waits for one model in one lane: deficit round robin by tokens between flows, oldest first inside a flow.

The flows form a ring, and each pass of the ring fills a flow's credit up to its share: QUANTUM tokens times its weight.
A flow at its turn is served while it has credit; the item that uses the credit up may pass it, and the debt is paid off
in later passes. Three rules bound every wait:

- Nothing overtakes inside a flow, and the item that does not fit into a batch closes it.
- A flow to which something comes while it has credit left, or which was not known, has its turn at once: before the
  ring goes on, but behind the next flow of the ring where the turn before was such a one too and that flow has waited
  longer. So a flow that sends less than its share waits for nobody's backlog, and a stream of new flows starves none.
- A flow that has nothing left keeps its place, its credit and its debt until the ring passes it: sending one item at a
  time gains nothing.

Bounds, with L the longest item and T = QUANTUM * (the greatest weight) + L the tokens of the longest turn:

- Of two flows that wait all the while, the tokens served divided by weight differ by at most
  3 * QUANTUM + L / weight + L / other weight.
- A flow that has had less than its share since the ring passed it is served behind at most one turn (T) of the ring,
  and two for every other such flow before it.
- The ring passes a flow again after at most 2 * (flows) turns.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, Protocol, TypeVar

QUANTUM = 64
"""Tokens; two or three short texts."""

WEIGHTS = (1 / 16, 16.0)
"""Others are cut to these, which bounds the turns that one item can take."""


class Sized(Protocol):
    """What waits has a length."""

    @property
    def tokens(self) -> int:
        """At least 1."""
        ...


T = TypeVar("T", bound=Sized)


class Taken(NamedTuple, Generic[T]):
    """What a `take` removed."""

    batch: list[T]
    dropped: list[T]


@dataclass(eq=False, slots=True)
class _Flow(Generic[T]):
    name: str
    share: float
    """Tokens of credit for each pass."""
    credit: float
    items: deque[T] = field(default_factory=deque)
    is_early: bool = False
    """Among those that have their turn before the ring goes on."""
    early_since: int = 0
    """Turns that were over when it came to be so."""
    in_ring: bool = False
    ring_since: int = 0


class FlowQueue(Generic[T]):
    """The flows of one model and lane. Adding is O(1) for an item; taking is linear in what is taken, amortized."""

    def __init__(self) -> None:
        self.tokens = 0
        self._count = 0
        self._flows: dict[str, _Flow[T]] = {}
        self._early: deque[_Flow[T]] = deque()
        self._ring: deque[_Flow[T]] = deque()
        self._turns = 0
        self._ring_is_due = False
        self._is_passing = False
        """The turn of the ring's first flow has begun."""

    def __len__(self) -> int:
        return self._count

    def add(self, name: str, weight: float, items: Sequence[T], tokens: int) -> None:
        """Queue items of `tokens` together behind those of their flow; the last weight given is the flow's."""
        least, most = WEIGHTS
        share = QUANTUM * min(most, max(least, weight))  # in this order NaN is cut too
        flow = self._flows.get(name)
        if flow is None:
            flow = self._flows[name] = _Flow(name, share, credit=share)
        flow.share = share
        if not flow.items and flow.credit > 0 and not flow.is_early:
            flow.is_early, flow.early_since = True, self._turns
            self._early.append(flow)
        flow.items.extend(items)
        self.tokens += tokens
        self._count += len(items)

    def take(self, max_tokens: int, is_gone: Callable[[T], bool] = lambda _: False) -> Taken[T]:
        """The next batch, of at most `max_tokens`; an item above that goes alone. Drops what `is_gone` on the way."""
        batch: list[T] = []
        dropped: list[T] = []
        room = max_tokens
        while self._count:
            early = self._is_early_turn()
            flow = self._early[0] if early else self._pass()
            was_idle = not flow.items
            alone = len(self._flows) == 1
            while flow.items and (alone or flow.credit > 0):
                item = flow.items[0]
                if is_gone(item):
                    dropped.append(item)
                elif batch and item.tokens > room:
                    return Taken(batch, dropped)
                else:
                    batch.append(item)
                    room -= item.tokens
                    if not alone:
                        flow.credit -= item.tokens
                flow.items.popleft()
                self.tokens -= item.tokens
                self._count -= 1
            self._turns += 1
            self._ring_is_due = early
            if early:
                self._end_early_turn()
            else:
                self._end_pass(forget=was_idle)
        return Taken(batch, dropped)

    def _is_early_turn(self) -> bool:
        if not self._early or not self._ring:
            return bool(self._early)
        return not self._ring_is_due or self._ring[0].ring_since >= self._early[0].early_since

    def _pass(self) -> _Flow[T]:
        """The ring's first flow, with its credit filled up if its turn only begins."""
        flow = self._ring[0]
        if not self._is_passing:
            self._is_passing = True
            flow.credit = min(flow.credit + flow.share, flow.share)
        return flow

    def _end_early_turn(self) -> None:
        flow = self._early.popleft()
        flow.is_early = False
        if not flow.in_ring:
            flow.in_ring = True
            self._join(flow)

    def _end_pass(self, *, forget: bool) -> None:
        """Move the ring's first flow to its end; forget it where it had no use for its turn and owes nothing."""
        flow = self._ring.popleft()
        self._is_passing = False
        if forget and flow.credit > 0 and not flow.is_early:
            del self._flows[flow.name]
        else:
            self._join(flow)

    def _join(self, flow: _Flow[T]) -> None:
        flow.ring_since = self._turns
        self._ring.append(flow)
