"""Traces as the node's code sees them: its part of a request, and the batches in which requests run together.

No library is behind this; whoever puts the process together gives a `NodeTracing`, or none.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Protocol, Self

Attribute = str | int | float | bool


class Span(Protocol):
    """A part of a request that is recorded. It begins when it is made, and ends with its `with` block."""

    @property
    def traceparent(self) -> str:
        """Where it is, for others to be linked with it."""
        ...

    def part(self, name: str) -> "Span":
        """One within it, beginning now."""
        ...

    def batch(self, name: str) -> "Span":
        """One of a trace of its own."""
        ...

    def link(self, traceparent: str) -> None:
        """Another one that it has to do with."""
        ...

    def tell(self, attributes: Mapping[str, Attribute]) -> None:
        """What is known of it: never what callers sent but for names."""
        ...

    def fail(self, kind: str) -> None:
        """It ended otherwise than it was meant to, for a reason of this kind."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None: ...


class NodeTracing(Protocol):
    """Where a node's part of a trace begins."""

    @property
    def spans(self) -> Mapping[str, int]:
        """How many were `exported` and `dropped`."""
        ...

    def request(self, name: str, traceparent: str) -> Span | None:
        """The span of a call whose caller says this of its own; None where nobody records it."""
        ...


NO_SPANS: Mapping[str, int] = MappingProxyType({"exported": 0, "dropped": 0})
"""Of a node that records nothing."""

_REQUEST: ContextVar[Span | None] = ContextVar("the request that is served", default=None)


@contextmanager
def serving(span: Span | None) -> Iterator[None]:
    """The block, and the tasks that it starts, serve the request of this span."""
    if span is None:
        yield
        return
    token = _REQUEST.set(span)
    try:
        with span:
            yield
    finally:
        _REQUEST.reset(token)


@contextmanager
def part(name: str) -> Iterator[None]:
    """The block is a part of the request that is served, where that is recorded."""
    span = _REQUEST.get()
    if span is None:
        yield
        return
    with span.part(name):
        yield


@contextmanager
def batch_of(requests: Iterable[Span | None], attributes: Mapping[str, Attribute]) -> Iterator[None]:
    """The block runs a batch of these requests: a span that is linked with those of them that are recorded."""
    recorded = list(dict.fromkeys(span for span in requests if span is not None))
    if not recorded:
        yield
        return
    with recorded[0].batch("batch") as batch:
        batch.tell(attributes)
        for request in recorded:
            batch.link(request.traceparent)
            request.link(batch.traceparent)
        yield


def current() -> Span | None:
    """The span of the request that is served, where it is recorded."""
    return _REQUEST.get()
