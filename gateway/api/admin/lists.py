"""Lists in pieces: each reply says where the next one begins, and what is added or removed meanwhile shifts nothing."""

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta

Item = TypeVar("Item")
Shown = TypeVar("Shown")
Limit = Annotated[int, Meta(ge=1, le=1000, description="How many at most.")]


class Piece(msgspec.Struct, forbid_unknown_fields=True):
    """Which part of a list is asked for."""

    limit: Limit = 100
    after: Annotated[str, Meta(description="The `next` of the reply before.")] = ""


class Listed(msgspec.Struct, Generic[Shown], frozen=True):
    """A part of a list."""

    data: list[Shown]
    next: str | None
    """What to send as `after` for the next part; null where this is the last."""


def listed(
    items: Iterable[Item], piece: Piece, *, position: Callable[[Item], str], shown: Callable[[Item], Shown]
) -> Listed[Shown]:
    """The part of `items` that was asked for. `position` orders them and is different for each."""
    rest = sorted((item for item in items if position(item) > piece.after), key=position)
    return first(rest, piece.limit, position=position, shown=shown)


def first(
    items: Sequence[Item], limit: int, *, position: Callable[[Item], str], shown: Callable[[Item], Shown]
) -> Listed[Shown]:
    """So many of the items; more of them mean that there is a next part."""
    data = [shown(item) for item in items[:limit]]
    return Listed(data, position(items[limit - 1]) if len(items) > limit else None)


def shown_as(kind: type[Shown]) -> Callable[[Any], Shown]:
    """From what a service says to what the wire says of it: the fields of the same names."""
    return lambda info: msgspec.convert(info, kind, from_attributes=True)
