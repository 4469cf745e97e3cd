"""Milvus: an embedding function in pymilvus-model's style, a reranker, and functions that the database calls itself.

Needs `pip install 'shoal-server[milvus]'`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymilvus import Function, FunctionType

from shoal.client.calls import InputType
from shoal.client.embedder import Embedder
from shoal.client.reranker import Reranker
from shoal.client.settings import DEFAULT_URL, ClientSettings

Dense = list[NDArray[np.float32]]


class ShoalEmbeddingFunction:
    """Dense vectors for inserts and searches, as pymilvus-model's functions give them.

    Options are those of `ClientSettings`.

    from pymilvus import MilvusClient
    from shoal.milvus import ShoalEmbeddingFunction

    function = ShoalEmbeddingFunction("all-minilm-l6-v2", "http://127.0.0.1:8080")
    texts = ["Herring swim in shoals.", "Hens live in coops."]
    milvus = MilvusClient("milvus.db")
    milvus.create_collection("fish", dimension=function.dim)
    vectors = function.encode_documents(texts)
    milvus.insert("fish", [{"id": at, "vector": vectors[at], "text": texts[at]} for at in range(2)])
    print(milvus.search("fish", function.encode_queries(["fish"]), limit=1, output_fields=["text"]))
    """

    def __init__(self, model: str, url: str = DEFAULT_URL, *, dimensions: int | None = None, **options: Any) -> None:
        self._embedder = Embedder(model, ClientSettings(url=url, **options), dimensions=dimensions)

    def __repr__(self) -> str:
        return f"ShoalEmbeddingFunction({self._embedder!r})"

    @property
    def dim(self) -> int:
        """Numbers in a vector."""
        return self._embedder.width()

    def __call__(self, texts: list[str]) -> Dense:
        """Vectors of texts that are searched."""
        return self.encode_documents(texts)

    def encode_documents(self, documents: list[str]) -> Dense:
        """Vectors of texts that are searched."""
        return [np.array(vector, dtype=np.float32) for vector in self._embedder.documents(documents)]

    def encode_queries(self, queries: list[str]) -> Dense:
        """Vectors of texts that search."""
        return [np.array(vector, dtype=np.float32) for vector in self._embedder.queries(queries)]


class ShoalSparseEmbeddingFunction:
    """Sparse vectors for fields of the type SPARSE_FLOAT_VECTOR: a mapping of dimension to value for every text.

    from shoal.milvus import ShoalSparseEmbeddingFunction

    function = ShoalSparseEmbeddingFunction("splade", "http://127.0.0.1:8080")
    print(function.encode_documents(["Herring swim in shoals."]))
    """

    def __init__(self, model: str, url: str = DEFAULT_URL, **options: Any) -> None:
        self._embedder = Embedder(model, ClientSettings(url=url, **options))

    def __repr__(self) -> str:
        return f"ShoalSparseEmbeddingFunction({self._embedder!r})"

    def encode_documents(self, documents: list[str]) -> list[dict[int, float]]:
        """Vectors of texts that are searched."""
        return self._vectors(documents, "document")

    def encode_queries(self, queries: list[str]) -> list[dict[int, float]]:
        """Vectors of texts that search."""
        return self._vectors(queries, "query")

    def _vectors(self, texts: list[str], input_type: InputType) -> list[dict[int, float]]:
        found = self._embedder.embed(texts, input_type, ("sparse",)).sparse
        return [dict(zip(one.indices, one.values, strict=True)) for one in found]


@dataclass(frozen=True, slots=True)
class RerankResult:
    """One document's score, with the fields of pymilvus-model's class of this name."""

    text: str
    score: float
    index: int


class ShoalRerankFunction:
    """The documents that answer a query best, best first, as pymilvus-model's rerankers give them.

    from shoal.milvus import ShoalRerankFunction

    rerank = ShoalRerankFunction("all-minilm-l6-v2", "http://127.0.0.1:8080")
    print(rerank("Who swims?", ["herring", "hens"], top_k=1)[0].text)
    """

    def __init__(self, model: str, url: str = DEFAULT_URL, **options: Any) -> None:
        self._reranker = Reranker(model, ClientSettings(url=url, **options))

    def __repr__(self) -> str:
        return f"ShoalRerankFunction({self._reranker!r})"

    def __call__(self, query: str, documents: list[str], top_k: int = 5) -> list[RerankResult]:
        """Rank the documents."""
        best = self._reranker.best(query, documents, top_k)
        return [RerankResult(documents[one.index], one.score, one.index) for one in best]


def embedding_in_database(
    model: str,
    url: str = DEFAULT_URL,
    *,
    text_field: str = "text",
    vector_field: str = "vector",
    dimensions: int | None = None,
    name: str = "shoal",
) -> Function:
    """A function of a schema by which milvus-lite itself embeds what is inserted and searched, over OpenAI's wire.

    The schema is saved, and has no key: milvus-lite looks for it in the variable OPENAI_API_KEY.
    """
    origin = ClientSettings(url=url).origin
    params = {"provider": "openai", "model_name": model, "base_url": f"{origin}/v1"}
    return Function(
        name=name,
        function_type=FunctionType.TEXTEMBEDDING,
        input_field_names=[text_field],
        output_field_names=[vector_field],
        params=params if dimensions is None else {**params, "dimensions": dimensions},
    )


def rerank_in_database(
    model: str, query: str, url: str = DEFAULT_URL, *, text_field: str = "text", name: str = "shoal"
) -> Function:
    """A ranker for `hybrid_search` by which milvus-lite itself ranks what it found, over Cohere's wire.

    milvus-lite looks for the key in the variable COHERE_API_KEY.
    """
    return Function(
        name=name,
        function_type=FunctionType.RERANK,
        input_field_names=[text_field],
        params={
            "reranker": "model",
            "provider": "cohere",
            "model_name": model,
            "queries": [query],
            "base_url": f"{ClientSettings(url=url).origin}/v2",
        },
    )
