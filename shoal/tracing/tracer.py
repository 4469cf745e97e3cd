"""Which requests are recorded.

A gateway records a share of them, drawn by itself: the ids of traces are the callers' to choose, so nothing is drawn
from these. Who says that its own part of a trace is recorded gets ours too, but only so many a second over all callers,
or anybody could have everything recorded; who says that it is not gets none. A node records what its gateways record.
"""

import re
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from gateway.tracing import UNRECORDED, Span
from shoal.tracing.span import RANDOM, RecordedSpan, new_trace

TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
"""W3C Trace Context: version, trace, parent and flags; later versions may append to it."""
SAMPLED = 1
WISHES = 5.0
"""Requests a second that are recorded because their callers wish it."""


class Sink(Protocol):
    """Where spans go that have ended."""

    def add(self, span: RecordedSpan) -> None:
        """Take one."""
        ...

    @property
    def counts(self) -> Mapping[str, int]:
        """How many were `exported` and `dropped`."""
        ...


class GatewayTracer:
    """Begins the traces of a gateway."""

    def __init__(self, sink: Sink, share: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._sink = sink
        self._ended = sink.add
        self._share = share
        self._clock = clock
        self._wishes = WISHES
        self._looked = clock()

    def request(self, name: str, traceparent: str) -> Span:
        """The span of a request that said this of the trace that it is part of, or nothing."""
        drawn = RANDOM.random() < self._share
        if not traceparent:
            return RecordedSpan(name, new_trace(), None, self._ended, "server") if drawn else UNRECORDED
        known = TRACEPARENT.fullmatch(traceparent)
        if known is None:
            return RecordedSpan(name, new_trace(), None, self._ended, "server") if drawn else UNRECORDED
        if not int(known[3], 16) & SAMPLED or not (drawn or self._grants_a_wish()):
            return UNRECORDED
        return RecordedSpan(name, bytes.fromhex(known[1]), bytes.fromhex(known[2]), self._ended, "server")

    @property
    def spans(self) -> Mapping[str, int]:
        """How many were `exported` and `dropped`."""
        return self._sink.counts

    def _grants_a_wish(self) -> bool:
        now = self._clock()
        self._wishes = min(WISHES, self._wishes + (now - self._looked) * WISHES)
        self._looked = now
        if self._wishes < 1.0:
            return False
        self._wishes -= 1.0
        return True


class NodeTracer:
    """Goes on with the traces of gateways, which are trusted: they have shown the node's secret."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._ended = sink.add

    @property
    def spans(self) -> Mapping[str, int]:
        """How many were `exported` and `dropped`."""
        return self._sink.counts

    def request(self, name: str, traceparent: str) -> RecordedSpan | None:
        """The span of a call; None where the caller records none."""
        known = TRACEPARENT.fullmatch(traceparent)
        if known is None or not int(known[3], 16) & SAMPLED:
            return None
        return RecordedSpan(name, bytes.fromhex(known[1]), bytes.fromhex(known[2]), self._ended, "server")
