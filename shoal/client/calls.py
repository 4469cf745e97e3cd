"""What can be asked of a server, as values: which requests it takes, and what their replies come to.

A call is cut into requests of bounded size that do not depend on each other; `Shoal` and `AsyncShoal` send them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Generic, Literal, NamedTuple, TypeVar
from urllib.parse import quote

from shoal.client import replies
from shoal.client.exchange import Request
from shoal.client.results import Classifications, Embeddings, Extractions, Model, Ranking
from shoal.client.settings import ClientSettings

Result = TypeVar("Result")
InputType = Literal["query", "document"]
Output = Literal["dense", "sparse", "multi"]


class Piece(NamedTuple):
    """A request for some of the texts."""

    start: int
    """The place of the first of them among all."""
    size: int
    request: Request

    def answered(self, reply: Any) -> replies.Part:
        """With its reply."""
        return replies.Part(self.start, self.size, reply)


@dataclass(frozen=True, slots=True)
class Call(Generic[Result]):
    """Something to ask."""

    texts: Sequence[str]
    """May be asked in parts; none: nothing is asked at all."""
    request: Callable[[Sequence[str]], Request]
    merge: Callable[[Sequence[replies.Part]], Result]

    def pieces(self, settings: ClientSettings) -> list[Piece]:
        """The requests, each with as many texts as one may have."""
        cuts = batches(self.texts, settings.batch_size, settings.batch_bytes)
        return [Piece(start, end - start, self.request(self.texts[start:end])) for start, end in cuts]


def batches(texts: Sequence[str], most: int, most_bytes: int) -> list[tuple[int, int]]:
    """Where runs begin and end of at most so many texts, and of so many bytes unless one text alone has more."""
    starts, size = [0], 0
    for place, text in enumerate(texts):
        length = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
        if place - starts[-1] >= most or (size + length > most_bytes and place > starts[-1]):
            starts.append(place)
            size = 0
        size += length
    return list(pairwise([*starts, len(texts)])) if texts else []


def embed(
    texts: str | Sequence[str],
    *,
    model: str,
    input_type: InputType | None = None,
    outputs: Sequence[Output] = ("dense",),
    dimensions: int | None = None,
    truncate: bool = True,
) -> Call[Embeddings]:
    """Embed texts. `input_type` makes a model read them as it was trained to read queries, or documents.

    With `truncate` False a text that is too long is InputTooLong instead of being cut.
    """
    options = said(
        input_type=input_type,
        dimensions=dimensions,
        truncate=None if truncate else False,
        output_types=None if tuple(outputs) == ("dense",) else list(outputs),
        encoding_format="base64",
    )

    def request(part: Sequence[str]) -> Request:
        return Request("/v1/embeddings", {"model": model, "input": list(part), **options})

    return Call(checked(texts), request, lambda parts: replies.embeddings(parts, outputs))


def rerank(
    query: str, documents: Sequence[str], *, model: str, top_n: int | None = None, instruction: str | None = None
) -> Call[Ranking]:
    """Score documents against a query: by a cross-encoder, a late-interaction model, or an embedder's cosine."""
    options = said(top_n=top_n, instruction=instruction)

    def request(part: Sequence[str]) -> Request:
        return Request("/v1/rerank", {"model": model, "query": query, "documents": list(part), **options})

    return Call(checked(documents), request, lambda parts: replies.ranking(parts, top_n))


def classify(
    texts: str | Sequence[str],
    *,
    model: str,
    labels: Sequence[str] | None = None,
    multi_label: bool = False,
    threshold: float | None = None,
    top_k: int | None = None,
) -> Call[Classifications]:
    """Say which labels fit texts: any words, for models that read them; else the model's own."""
    options = said(
        labels=None if labels is None else list(labels),
        multi_label=multi_label or None,
        threshold=threshold,
        top_k=top_k,
    )

    def request(part: Sequence[str]) -> Request:
        return Request("/v1/classify", {"model": model, "input": list(part), **options})

    return Call(checked(texts), request, replies.classifications)


def extract(
    texts: str | Sequence[str], *, model: str, labels: Sequence[str] | None = None, threshold: float | None = None
) -> Call[Extractions]:
    """Find the spans of texts that labels fit."""
    options = said(labels=None if labels is None else list(labels), threshold=threshold)

    def request(part: Sequence[str]) -> Request:
        return Request("/v1/extract", {"model": model, "input": list(part), **options})

    return Call(checked(texts), request, replies.extractions)


def describe(model: str) -> Call[Model]:
    """What the server says of a model."""
    return Call(
        (model,), lambda _: Request(f"/v1/models/{quote(model, safe='')}"), lambda parts: replies.model(parts[0])
    )


def checked(texts: str | Sequence[str]) -> Sequence[str]:
    """The texts; one alone is a list of one. Raises TypeError for anything else, before any of them is sent."""
    texts = [texts] if isinstance(texts, str) else texts
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"text {place} is {type(text).__name__}, not str")
    return texts


def said(**fields: Any) -> Mapping[str, Any]:
    """The fields of a body that say anything."""
    return {name: value for name, value in fields.items() if value is not None}
