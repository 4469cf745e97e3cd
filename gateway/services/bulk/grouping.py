"""Small requests of one model go to a node as one, and its reply is taken apart again. Pure.

Where that is exact: a vector does not depend on what else is in its call. Numbers of 8 bits may, where a model does not
normalise, so they go alone.
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.engine_client import EmbedReply, EmbedRequest
from gateway.services.bulk.wire import Work

GROUP_INPUTS = 128
GROUP_COST = 16_384
"""Tokens at most, by the bound that quotas are reserved by."""
ALONE = ("int8", "uint8")


@dataclass(frozen=True, slots=True)
class Item:
    """A line with its work."""

    number: int
    custom_id: str
    body: bytes
    work: Work


def groups(items: Iterable[Item]) -> Iterator[list[Item]]:
    """The items in groups that are asked for together; each group in the order of its lines."""
    open_groups: dict[Hashable, list[Item]] = {}
    sizes: dict[Hashable, tuple[int, int]] = {}
    for item in items:
        kind = _kind(item.work)
        inputs, cost = len(item.work.request.inputs), int(item.work.cost)
        group = open_groups.get(kind)
        held_inputs, held_cost = sizes.get(kind, (0, 0))
        if group is not None and (held_inputs + inputs > GROUP_INPUTS or held_cost + cost > GROUP_COST):
            yield open_groups.pop(kind)
            group, held_inputs, held_cost = None, 0, 0
        if item.work.request.output_dtype in ALONE:
            yield [item]
            continue
        open_groups.setdefault(kind, []).append(item)
        sizes[kind] = held_inputs + inputs, held_cost + cost
    yield from open_groups.values()


def together(group: Sequence[Item]) -> EmbedRequest:
    """One request of all of a group."""
    inputs = [text for item in group for text in item.work.request.inputs]
    return msgspec.structs.replace(group[0].work.request, inputs=inputs)


def apart(group: Sequence[Item], reply: EmbedReply) -> Iterator[EmbedReply]:
    """Each one's own part of the reply."""
    total = len(reply.token_counts)
    width = len(reply.vectors) // total if total else 0
    start = 0
    for item in group:
        end = start + len(item.work.request.inputs)
        yield msgspec.structs.replace(
            reply,
            vectors=reply.vectors[start * width : end * width],
            token_counts=reply.token_counts[start:end],
            truncated=[index - start for index in reply.truncated if start <= index < end],
            sparse=None if reply.sparse is None else reply.sparse[start:end],
            multi=None if reply.multi is None else reply.multi[start:end],
        )
        start = end


def _kind(work: Work) -> Hashable:
    """What requests must have in common."""
    rest: list[Any] = [getattr(work.request, name) for name in EmbedRequest.__struct_fields__ if name != "inputs"]
    return work.model.id, work.name, *(part if not isinstance(part, list) else tuple(part) for part in rest)
