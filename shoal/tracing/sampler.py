"""Which requests are recorded.

A gateway records a share of them, drawn by itself: the ids of traces are the callers' to choose, so nothing is drawn
from these. Who says that its own part of a trace is recorded gets ours too, but only so many a second over all callers,
or anybody could have everything recorded; who says that it is not gets none. A node records what its gateways record.
"""

import random
import time
from collections.abc import Callable

from opentelemetry.sdk.trace.sampling import (
    ALWAYS_ON,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)

WISHES = 5.0
"""Requests a second that are recorded because their callers wish it."""


def gateway_sampler(share: float, clock: Callable[[], float] = time.monotonic) -> Sampler:
    """Of what begins at a gateway; ids that it makes itself may be drawn from."""
    return ParentBased(root=TraceIdRatioBased(share), remote_parent_sampled=WishSampler(share, clock))


def node_sampler() -> Sampler:
    """Of what a node does for gateways, which are trusted: they have shown its secret."""
    return ParentBased(root=ALWAYS_ON)  # batches


class WishSampler(Sampler):
    """Of requests whose callers wish to see them: the share, and a few more."""

    def __init__(self, share: float, clock: Callable[[], float]) -> None:
        self._share = share
        self._clock = clock
        self._wishes = WISHES
        self._looked = clock()

    def should_sample(self, *_: object, **__: object) -> SamplingResult:
        """Whatever the caller's ids are."""
        drawn = random.random() < self._share  # noqa: S311 (no secret)
        granted = drawn or self._grants_a_wish()
        return SamplingResult(Decision.RECORD_AND_SAMPLE if granted else Decision.DROP)

    def get_description(self) -> str:
        """What it is, for people."""
        return f"{self._share:g} of requests and {WISHES:g} a second"

    def _grants_a_wish(self) -> bool:
        now = self._clock()
        self._wishes = min(WISHES, self._wishes + (now - self._looked) * WISHES)
        self._looked = now
        if self._wishes < 1.0:
            return False
        self._wishes -= 1.0
        return True
