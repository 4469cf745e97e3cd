"""Traces as the gateway's code sees them: parts of a request that are timed and told about, if anybody records them.

No library is behind this. Whoever puts the process together gives a `Tracer` (shoal/tracing) or leaves it at NO_TRACER,
whose spans cost a call that does nothing.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol, Self

Attribute = str | int | float | bool


class Span(Protocol):
    """A part of a request. It begins when it is made, and ends with its `with` block; an error there is told of it."""

    @property
    def recorded(self) -> bool:
        """Whether anybody will ever see it."""
        ...

    @property
    def traceparent(self) -> str:
        """For whoever is called within it (W3C Trace Context); empty where nothing is recorded."""
        ...

    def part(self, name: str, *, calls_out: bool = False) -> "Span":
        """One within it, beginning now; `calls_out` where another process does the work."""
        ...

    def tell(self, attributes: Mapping[str, Attribute]) -> None:
        """What is known of it: never what callers sent but for names."""
        ...

    def rename(self, name: str) -> None:
        """What it is, once that is known."""
        ...

    def fail(self, kind: str) -> None:
        """It ended otherwise than it was meant to, for a reason of this kind."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None: ...


class Tracer(Protocol):
    """Where traces begin."""

    @property
    def spans(self) -> Mapping[str, int]:
        """How many were `exported` and `dropped`."""
        ...

    def request(self, name: str, traceparent: str) -> Span:
        """The span of a request that said this of the trace that it is part of, or nothing."""
        ...


class Unrecorded:
    """A span that nobody records."""

    recorded = False
    traceparent = ""

    def part(self, name: str, *, calls_out: bool = False) -> "Span":  # noqa: ARG002
        """Itself."""
        return self

    def tell(self, attributes: Mapping[str, Attribute]) -> None:
        """Nobody listens."""

    def rename(self, name: str) -> None:
        """Nobody listens."""

    def fail(self, kind: str) -> None:
        """Nobody listens."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        pass


UNRECORDED: Span = Unrecorded()


class NoTracer:
    """Records nothing."""

    spans: Mapping[str, int] = MappingProxyType({"exported": 0, "dropped": 0})

    def request(self, name: str, traceparent: str) -> Span:  # noqa: ARG002
        """A span that nobody records."""
        return UNRECORDED


NO_TRACER: Tracer = NoTracer()
