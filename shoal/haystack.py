"""Haystack: embedders for texts and documents, and a ranker. Needs `pip install 'shoal-server[haystack]'`.

Haystack reads pipelines of its own components alone unless it is told whom else to trust:
`Pipeline.load(file, allowed_modules=["shoal.haystack"])`.
"""

from dataclasses import replace
from typing import Any

from haystack import Document, component, default_from_dict, default_to_dict
from haystack.utils import Secret, deserialize_secrets_inplace

from shoal.client.embedder import Embedder
from shoal.client.reranker import Reranker
from shoal.client.results import Embeddings, Ranked
from shoal.client.settings import API_KEY_ENV, DEFAULT_URL, ClientSettings

KEY = Secret.from_env_var(API_KEY_ENV)


class Saved:
    """What the components have in common: saved by what they were made with, the key by its variable's name."""

    _made_with: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Haystack: as it is saved. Raises ValueError for a key that is not in a variable."""
        made_with = {**self._made_with, "api_key": self._made_with["api_key"].to_dict()}
        saved: dict[str, Any] = default_to_dict(self, **made_with)
        return saved

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Any:
        """Haystack: from what was saved."""
        deserialize_secrets_inplace(data["init_parameters"], keys=["api_key"])
        return default_from_dict(cls, data)


@component
class ShoalTextEmbedder(Saved):
    """The vector of a text that searches.

    from shoal.haystack import ShoalTextEmbedder

    embedder = ShoalTextEmbedder(model="all-minilm-l6-v2", url="http://127.0.0.1:8080")  # key: SHOAL_API_KEY
    print(embedder.run(text="Who swims in shoals?")["embedding"][:3])
    """

    def __init__(
        self,
        model: str,
        url: str = DEFAULT_URL,
        api_key: Secret = KEY,
        dimensions: int | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        self._made_with = {
            "model": model, "url": url, "api_key": api_key, "dimensions": dimensions, "options": options
        }  # fmt: skip
        self._embedder = Embedder(model, settings_of(url, api_key, options), dimensions=dimensions)

    @component.output_types(embedding=list[float], meta=dict[str, Any])
    def run(self, text: str) -> dict[str, Any]:
        """Embed the text."""
        found = self._embedder.embed([text], "query")
        return {"embedding": found.dense[0], "meta": meta(self._embedder.model, found)}

    @component.output_types(embedding=list[float], meta=dict[str, Any])
    async def run_async(self, text: str) -> dict[str, Any]:
        """`run`, with await."""
        found = await self._embedder.aembed([text], "query")
        return {"embedding": found.dense[0], "meta": meta(self._embedder.model, found)}


@component
class ShoalDocumentEmbedder(Saved):
    """Vectors of documents that are searched. What can not be embedded is an error, not a document without a vector.

    from haystack import Document
    from shoal.haystack import ShoalDocumentEmbedder

    embedder = ShoalDocumentEmbedder(model="all-minilm-l6-v2", url="http://127.0.0.1:8080")
    print(embedder.run(documents=[Document(content="Herring swim in shoals.")])["documents"])
    """

    def __init__(
        self,
        model: str,
        url: str = DEFAULT_URL,
        api_key: Secret = KEY,
        dimensions: int | None = None,
        meta_fields_to_embed: list[str] | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        self._made_with = {
            "model": model, "url": url, "api_key": api_key, "dimensions": dimensions,
            "meta_fields_to_embed": meta_fields_to_embed, "options": options,
        }  # fmt: skip
        self._fields = meta_fields_to_embed or []
        self._embedder = Embedder(model, settings_of(url, api_key, options), dimensions=dimensions)

    @component.output_types(documents=list[Document], meta=dict[str, Any])
    def run(self, documents: list[Document]) -> dict[str, Any]:
        """Embed the documents; the ones that were given stay as they are."""
        return self._embedded(documents, self._embedder.embed(texts_of(documents, self._fields), "document"))

    @component.output_types(documents=list[Document], meta=dict[str, Any])
    async def run_async(self, documents: list[Document]) -> dict[str, Any]:
        """`run`, with await."""
        return self._embedded(documents, await self._embedder.aembed(texts_of(documents, self._fields), "document"))

    def _embedded(self, documents: list[Document], found: Embeddings) -> dict[str, Any]:
        with_vectors = [replace(one, embedding=vector) for one, vector in zip(documents, found.dense, strict=True)]
        return {"documents": with_vectors, "meta": meta(self._embedder.model, found)}


@component
class ShoalRanker(Saved):
    """The documents that answer a query best, with their new scores.

    from haystack import Document
    from shoal.haystack import ShoalRanker

    ranker = ShoalRanker(model="all-minilm-l6-v2", url="http://127.0.0.1:8080", top_k=1)
    print(ranker.run(query="Who swims?", documents=[Document(content="herring"), Document(content="hens")]))
    """

    def __init__(
        self,
        model: str,
        url: str = DEFAULT_URL,
        api_key: Secret = KEY,
        top_k: int | None = 10,
        options: dict[str, Any] | None = None,
    ) -> None:
        self._made_with = {"model": model, "url": url, "api_key": api_key, "top_k": top_k, "options": options}
        self._reranker = Reranker(model, settings_of(url, api_key, options), top_n=top_k)

    @component.output_types(documents=list[Document])
    def run(self, query: str, documents: list[Document], top_k: int | None = None) -> dict[str, Any]:
        """Rank the documents."""
        return {"documents": kept(documents, self._reranker.best(query, texts_of(documents, []), top_k))}

    @component.output_types(documents=list[Document])
    async def run_async(self, query: str, documents: list[Document], top_k: int | None = None) -> dict[str, Any]:
        """`run`, with await."""
        return {"documents": kept(documents, await self._reranker.abest(query, texts_of(documents, []), top_k))}


def settings_of(url: str, api_key: Secret, options: dict[str, Any] | None) -> ClientSettings:
    """The key is looked up when it is needed."""
    return ClientSettings(url=url, api_key=api_key.resolve_value, **(options or {}))


def texts_of(documents: list[Document], fields: list[str]) -> list[str]:
    """What is embedded or ranked: the fields asked for, and the content. Raises ValueError where there is none."""
    texts = []
    for place, document in enumerate(documents):
        if document.content is None:
            raise ValueError(f"document {place} ({document.id}) has no text")
        found = [str(document.meta[name]) for name in fields if document.meta.get(name) is not None]
        texts.append("\n".join([*found, document.content]))
    return texts


def kept(documents: list[Document], ranked: list[Ranked]) -> list[Document]:
    """The best, best first."""
    return [replace(documents[one.index], score=one.score) for one in ranked]


def meta(model: str, found: Embeddings) -> dict[str, Any]:
    """What Haystack's own embedders say of it."""
    return {"model": model, "usage": {"prompt_tokens": found.tokens, "total_tokens": found.tokens}}
