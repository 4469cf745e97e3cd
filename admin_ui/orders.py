"""What operators have nodes do to a model, which may take minutes: goes on when its form was answered."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from gateway.errors import Conflict, GatewayError
from gateway.services.pools.placement import Verb

AT_FIRST = 1.5
"""Seconds that a form's answer waits for the end; most orders end sooner."""
KEPT = 500
DOING: dict[Verb, str] = {
    "load": "being loaded",
    "unload": "being unloaded",
    "pin": "being pinned",
    "unpin": "unpinned",
}


@dataclass(slots=True, eq=False)
class Order:
    """One order for one model, on all nodes of its pool."""

    verb: Verb
    task: asyncio.Task[None]
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    began: float = field(default_factory=monotonic)

    @property
    def going_on(self) -> bool:
        """Whether some node is at it."""
        return not self.task.done()

    @property
    def seconds(self) -> float:
        """Since it was given."""
        return monotonic() - self.began

    @property
    def failure(self) -> str | None:
        """Why it was not carried out."""
        if self.going_on or self.task.cancelled():
            return None
        error = self.task.exception()
        if error is None:
            return None
        return error.message if isinstance(error, GatewayError) else f"It failed on this side: {error}"


class Orders:
    """The latest order of every model."""

    def __init__(self) -> None:
        self._orders: dict[str, Order] = {}

    def of(self, model_id: str) -> Order | None:
        """What was ordered last."""
        return self._orders.get(model_id)

    async def give(self, model_id: str, verb: Verb, doing: Coroutine[Any, Any, None]) -> Order:
        """Begin, and come back when it is done or, if that takes long, while it goes on.

        Raises Conflict where something is being done to the model already.
        """
        before = self._orders.pop(model_id, None)
        if before is not None and before.going_on:
            self._orders[model_id] = before
            doing.close()
            raise Conflict(f"'{model_id}' is {DOING[before.verb]}; wait for the end of that.")
        order = self._orders[model_id] = Order(verb, asyncio.create_task(doing))
        for old in [key for key, one in self._orders.items() if not one.going_on][: max(len(self._orders) - KEPT, 0)]:
            del self._orders[old]
        await asyncio.wait([order.task], timeout=AT_FIRST)
        return order

    async def close(self) -> None:
        """Wait for none of them; what nodes have begun goes on there."""
        tasks = [order.task for order in self._orders.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
