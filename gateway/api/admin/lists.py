"""Lists in pieces: each reply says where the next one begins, and what is added or removed meanwhile shifts nothing."""

from collections.abc import Callable, Iterable
from itertools import islice
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
    later = ((position(item), item) for item in items)
    rest = sorted(((at, item) for at, item in later if at > piece.after), key=lambda pair: pair[0])
    data = [shown(item) for _, item in islice(rest, piece.limit)]
    return Listed(data, rest[piece.limit - 1][0] if len(rest) > piece.limit else None)


def shown_as(kind: type[Shown]) -> Callable[[Any], Shown]:
    """From what a service says to what the wire says of it: the fields of the same names."""
    return lambda info: msgspec.convert(info, kind, from_attributes=True)
