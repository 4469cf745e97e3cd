"""The texts of a body, in the shapes that clients send them in."""

import asyncio
from typing import Any

from gateway.api import cl100k
from gateway.api.bodies import invalid, missing, too_many
from gateway.api.schemas import TextObject

MAX_LABELS = 500
"""Of one request; nodes take no more."""


async def texts_of(source: str | list[Any] | None, max_inputs: int | None, field: str = "input") -> list[str]:
    """The inputs as texts. Token arrays are decoded; a flat list of numbers is one of them, not many."""
    if source is None:
        raise missing(field)
    if isinstance(source, str):
        return [source]
    if not source:
        raise invalid(f"$.{field}", "The list is empty.")
    kind = type(source[0])
    if any(type(item) is not kind for item in source):
        raise invalid(f"$.{field}", "Its items are of different kinds.")
    if kind is int:
        return [await asyncio.to_thread(cl100k.decode, source)]
    if max_inputs is not None and len(source) > max_inputs:
        raise too_many(field, max_inputs, len(source))
    if kind is str:
        return source
    if kind is TextObject:
        return [item.text for item in source]
    return await asyncio.to_thread(_decode_each, source)


def _decode_each(arrays: list[list[int]]) -> list[str]:
    return [cl100k.decode(ids, index=index) for index, ids in enumerate(arrays)]


def checked_labels(labels: list[str] | None) -> list[str] | None:
    """The labels of a request. Raises RequestError for none and for too many of them."""
    if labels is not None and not labels:
        raise invalid("$.labels", "The list is empty: give at least one label, or leave it out.")
    if labels is not None and len(labels) > MAX_LABELS:
        raise too_many("labels", MAX_LABELS, len(labels))
    return labels
