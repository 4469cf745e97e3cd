"""What is seen of one piece of work on its way to a node and back: how long it waits, whom it asks, how that ends.

A node that breaks off is followed by another attempt, so the waits and calls of one passage may be several.
"""

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Self, TypeVar

from gateway import errand
from gateway.errors import (
    EngineFailed,
    EngineGone,
    EngineOverloaded,
    GatewayError,
    ModelLoading,
    ModelUnusable,
    Unavailable,
)
from gateway.observability import GatewayMetrics
from gateway.services.pools.node import Node
from gateway.tracing import Span

Reply = TypeVar("Reply")

OUTCOMES: tuple[tuple[type[BaseException], str], ...] = (
    (EngineGone, "gone"),
    (ModelLoading, "loading"),
    (Unavailable, "unavailable"),
    (EngineOverloaded, "overloaded"),
    (EngineFailed, "failed"),
    (ModelUnusable, "failed"),
    (GatewayError, "refused"),
    (asyncio.CancelledError, "cancelled"),
)


ELSEWHERE = (EngineGone, EngineOverloaded)
"""After which a call may be made again."""
TRIES = 2


class Passage:
    """To be entered before a node is looked for; on behalf of whatever request this task serves."""

    def __init__(self, metrics: GatewayMetrics, pool: str) -> None:
        self._metrics = metrics
        self._pool = pool
        self._span = errand.span()
        self._calls = 0
        self._wait: Span | None = None

    def __enter__(self) -> Self:
        self._begin_waiting()
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is not None and not isinstance(error, ELSEWHERE):
            self._end_waiting(error)

    async def call(self, node: Node, work: Callable[[], Awaitable[Reply]]) -> Reply:
        """Have this node do the work."""
        self._end_waiting(None)
        if self._calls:
            self._metrics.retried(self._pool)
        self._calls += 1
        outcome = "failed"
        try:
            with self._span.part("node.call", calls_out=True) as span, errand.Traced(span.traceparent):
                if span.recorded:
                    span.tell({"shoal.pool": self._pool, "server.address": node.name})
                reply = await work()
            outcome = "ok"
        except BaseException as error:
            outcome = next((name for kind, name in OUTCOMES if isinstance(error, kind)), "failed")
            if isinstance(error, ELSEWHERE) and self._calls < TRIES:
                self._begin_waiting()
            raise
        else:
            return reply
        finally:
            self._metrics.node_called(self._pool, outcome)

    def _begin_waiting(self) -> None:
        self._began = perf_counter()
        self._wait = self._span.part("node.wait")

    def _end_waiting(self, error: BaseException | None) -> None:
        if self._wait is not None:
            self._metrics.waited(self._pool, perf_counter() - self._began)
            self._wait.__exit__(type(error), error, None)
            self._wait = None
