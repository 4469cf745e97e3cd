"""What waits in one lane: the models take turns on the device.

A model keeps its turn until it has had `turn_tokens` or has nothing left; then the next model's turn comes, in the
order in which they began to wait. So a switch is made once for a turn's work, and a model waits for at most one turn of
every other model that waits: `turn_tokens` and what the last batch of the turn passes it by.
"""

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from engine.scheduling.fairness import FlowQueue, Sized

M = TypeVar("M")
T = TypeVar("T", bound=Sized)


class Cut(NamedTuple, Generic[M, T]):
    """A batch, and what was dropped on the way to it."""

    model: M
    batch: list[T]
    dropped: list[T]


class ModelTurns(Generic[M, T]):
    """The models of one lane; nothing here is linear in how many there are."""

    def __init__(self, turn_tokens: int) -> None:
        self.tokens = 0
        self._turn_tokens = turn_tokens
        self._left = turn_tokens
        self._queues: dict[M, FlowQueue[T]] = {}  # in the order of their turns: dicts keep it, and delete anywhere

    @property
    def next_tokens(self) -> int:
        """Tokens that wait for the model whose turn it is."""
        return next(iter(self._queues.values())).tokens if self._queues else 0

    def __bool__(self) -> bool:
        return bool(self._queues)

    def add(self, model: M, flow: str, weight: float, items: Sequence[T], tokens: int) -> None:
        """Queue items of `tokens` together."""
        queue = self._queues.get(model)
        if queue is None:
            queue = self._queues[model] = FlowQueue()
        queue.add(flow, weight, items, tokens)
        self.tokens += tokens

    def take(self, max_tokens: int, is_gone: Callable[[T], bool] = lambda _: False) -> Cut[M, T]:
        """A batch for the model whose turn it is; empty where only what is gone waited for it."""
        model, queue = next(iter(self._queues.items()))
        before = queue.tokens
        batch, dropped = queue.take(max_tokens, is_gone)
        self.tokens -= before - queue.tokens
        self._left -= sum(item.tokens for item in batch)
        if not queue:
            del self._queues[model]
            self._left = self._turn_tokens
        elif self._left <= 0:
            self._queues[model] = self._queues.pop(model)
            self._left = self._turn_tokens
        return Cut(model, batch, dropped)

    def clear(self) -> None:
        """Forget all that waits."""
        self._queues.clear()
        self.tokens = 0
