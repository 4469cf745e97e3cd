"""From replies to results. A reply that leaves an input out is a BadReply, never a shorter result."""

import sys
from array import array
from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from typing import Any, NamedTuple, ParamSpec, TypeVar

from shoal.client.errors import BadReply
from shoal.client.results import (
    Classifications,
    Embeddings,
    Entity,
    Extractions,
    Label,
    Model,
    Ranked,
    Ranking,
    SparseVector,
    Vector,
)

P = ParamSpec("P")
Result = TypeVar("Result")


class Part(NamedTuple):
    """The reply to some of the texts."""

    start: int
    """The place of the first of them among all."""
    size: int
    reply: Any


def read(reader: Callable[P, Result]) -> Callable[P, Result]:
    """A reader for which whatever is missing or of another kind in a reply is a BadReply."""

    @wraps(reader)
    def reads(*args: P.args, **kwargs: P.kwargs) -> Result:
        try:
            return reader(*args, **kwargs)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadReply(f"The reply can not be read: {error!r}.") from error

    return reads


@read
def embeddings(parts: Sequence[Part], outputs: Sequence[str]) -> Embeddings:
    """Of all parts."""
    found = Embeddings(tokens=tokens(parts))
    for part in parts:
        for item in in_order(part):
            if "dense" in outputs:
                found.dense.append(vector(item["embedding"]))
            if "sparse" in outputs:
                sparse = item["sparse_embedding"]
                found.sparse.append(SparseVector(sparse["indices"], sparse["values"]))
            if "multi" in outputs:
                found.multi.append(item["multi_embedding"])
        found.truncated.extend(part.start + place for place in part.reply.get("truncated", ()))
    return found


@read
def ranking(parts: Sequence[Part], top_n: int | None) -> Ranking:
    """Of all parts, as if they had been ranked in one: scores of a query's documents do not depend on each other."""
    results = [
        Ranked(part.start + item["index"], item["relevance_score"]) for part in parts for item in part.reply["results"]
    ]
    if not top_n and sorted(one.index for one in results) != list(range(sum(part.size for part in parts))):
        raise BadReply("The reply does not score every document once.")
    results.sort(key=lambda one: (-one.score, one.index))
    return Ranking(results[: top_n or None], tokens(parts))


@read
def classifications(parts: Sequence[Part]) -> Classifications:
    """Of all parts."""
    labels = [
        [Label(fit["label"], fit["score"]) for fit in item["predictions"]] for part in parts for item in in_order(part)
    ]
    return Classifications(labels, tokens(parts))


@read
def extractions(parts: Sequence[Part]) -> Extractions:
    """Of all parts."""
    names = Entity.__slots__
    entities = [
        [Entity(*(one[name] for name in names)) for one in item["entities"]]
        for part in parts
        for item in in_order(part)
    ]
    return Extractions(entities, tokens(parts))


@read
def model(part: Part) -> Model:
    """Of the one reply."""
    reply = part.reply
    return Model(
        reply["id"],
        reply.get("type", "embedding"),
        tuple(reply.get("outputs", ())),
        reply.get("dimensions"),
        reply.get("max_input_tokens"),
    )


def in_order(part: Part) -> Iterator[Any]:
    """The items of a reply by their index, each input once."""
    items = sorted(part.reply["data"], key=lambda item: item["index"])
    if [item["index"] for item in items] != list(range(part.size)):
        raise BadReply(f"The reply has {len(items)} items for {part.size} texts.")
    return iter(items)


def tokens(parts: Sequence[Part]) -> int:
    """That the model processed for all of them."""
    return sum(part.reply["usage"]["total_tokens"] for part in parts)


def vector(sent: str | list[float]) -> Vector:
    """Numbers, or base64 of them, little-endian float32."""
    if not isinstance(sent, str):
        return sent
    found = array("f", b64decode(sent))
    if sys.byteorder == "big":
        found.byteswap()
    return found.tolist()
