"""A span that is recorded: of a request, of a part of it, or of a batch that many requests share."""

import time
from collections.abc import Callable, Mapping
from random import Random
from typing import Literal, NamedTuple, Self

Attribute = str | int | float | bool
Kind = Literal["internal", "server", "client"]
RANDOM = Random()  # noqa: S311 (ids must differ, not be secret); seeded by the operating system


class Place(NamedTuple):
    """Where in a trace a span is: the ids of both."""

    trace: bytes
    span: bytes

    @property
    def traceparent(self) -> str:
        """As W3C Trace Context says it, of what is recorded."""
        return f"00-{self.trace.hex()}-{self.span.hex()}-01"


def new_trace() -> bytes:
    """An id that no other trace has."""
    return RANDOM.randbytes(16)


class RecordedSpan:
    """Begins when it is made; ends with its `with` block, and is handed to `ended` then."""

    __slots__ = ("_ended", "attributes", "began", "end", "failure", "kind", "links", "name", "parent", "place")

    recorded = True

    def __init__(
        self,
        name: str,
        trace: bytes,
        parent: bytes | None,
        ended: Callable[["RecordedSpan"], None],
        kind: Kind = "internal",
    ) -> None:
        self.name = name
        self.kind = kind
        self.place = Place(trace, RANDOM.randbytes(8))
        self.parent = parent
        self.attributes: dict[str, Attribute] = {}
        self.links: list[Place] = []
        self.failure: str | None = None
        self.began = time.time_ns()
        self.end = 0
        self._ended = ended

    @property
    def traceparent(self) -> str:
        """For whoever is called within it."""
        return self.place.traceparent

    def part(self, name: str, *, calls_out: bool = False) -> "RecordedSpan":
        """One within it, beginning now."""
        return RecordedSpan(name, self.place.trace, self.place.span, self._ended, "client" if calls_out else "internal")

    def batch(self, name: str) -> "RecordedSpan":
        """One of a trace of its own, since it is part of many."""
        return RecordedSpan(name, new_trace(), None, self._ended)

    def link(self, traceparent: str) -> None:
        """Another span that this one has to do with."""
        _, trace, span, _ = traceparent.split("-")
        self.links.append(Place(bytes.fromhex(trace), bytes.fromhex(span)))

    def tell(self, attributes: Mapping[str, Attribute]) -> None:
        """What is known of it."""
        self.attributes.update(attributes)

    def rename(self, name: str) -> None:
        """What it is, once that is known."""
        self.name = name

    def fail(self, kind: str) -> None:
        """It ended otherwise than it was meant to."""
        self.failure = kind

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is not None and self.failure is None:
            self.failure = type(error).__name__
        self.end = time.time_ns()
        self._ended(self)
