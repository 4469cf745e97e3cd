"""What limits promise, held against what clients and the engine saw. Times are seconds of one clock."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Admitted(NamedTuple):
    """A request that was served: it was admitted some time between `sent` and `received`."""

    sent: float
    received: float
    cost: int


def promise_kept(admitted: Sequence[Admitted], amount: int, period: float) -> float:
    """The most of its promise that a rate ever gave, over all windows of all lengths; above 1 it is broken.

    The promise is `amount + amount * w / period` in w seconds. A window begins when some request was sent and ends when
    some was answered, so that whatever lies in it was admitted in it; w grows by the longest answer, because refunds
    come that late (policies/quota.py).
    """
    by_end = sorted(admitted, key=lambda one: one.received)
    sent, received, cost = (np.array(column, dtype=np.float64) for column in zip(*by_end, strict=True))
    longest = (received - sent).max()
    most = 0.0
    for begin in np.unique(sent):
        inside = np.cumsum(np.where(sent >= begin, cost, 0.0))
        promised = amount + amount * (received - begin + longest) / period
        most = max(most, float((inside / promised)[sent >= begin].max()))
    return most


def most_within(admitted: Sequence[Admitted], seconds: float) -> int:
    """The most that was both sent and answered, and so admitted, in any stretch of so many seconds."""
    sent, received, cost = (np.array(column) for column in zip(*admitted, strict=True))
    return max(int(cost[(sent >= begin) & (received <= begin + seconds)].sum()) for begin in np.unique(sent))


def share_used(admitted: Sequence[Admitted], amount: int, period: float, end: float) -> float:
    """Of all that a rate could have given from the first request to `end`, the part that it gave."""
    begin = min(one.sent for one in admitted)
    return sum(one.cost for one in admitted if one.received <= end) / (amount + amount * (end - begin) / period)


class Span(NamedTuple):
    """When a request was at work."""

    began: float
    ended: float


def most_at_once(spans: Sequence[Span]) -> int:
    """The most requests that ever were at work together."""
    changes = sorted([(span.ended, -1) for span in spans] + [(span.began, 1) for span in spans])
    now = most = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most


def share_filled(spans: Sequence[Span], places: int, begin: float, end: float) -> float:
    """Of so many places between two times, the part that was taken."""
    taken = sum(max(0.0, min(span.ended, end) - max(span.began, begin)) for span in spans)
    return taken / (places * (end - begin))
