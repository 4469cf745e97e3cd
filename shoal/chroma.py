"""Chroma: embedding functions that a collection remembers. Needs `pip install 'shoal-server[chroma]'`.

A collection keeps the function's name and settings, so that whoever opens it again, in another process or from a
server, needs no more than `import shoal.chroma` and the API key's variable.
"""

from typing import Any

import numpy as np
from chromadb.api.types import (
    Documents,
    EmbeddingFunction,
    Embeddings,
    Space,
    SparseEmbeddingFunction,
    SparseVector,
    SparseVectors,
)
from chromadb.utils.embedding_functions import register_embedding_function, register_sparse_embedding_function

from shoal.client.calls import InputType
from shoal.client.embedder import Embedder
from shoal.client.settings import DEFAULT_URL, ClientSettings

FIXED = ("model", "dimensions")
"""What can not change in a collection that has vectors."""


class Remembered:
    """What both functions have in common: settings that are saved without the key, and read back."""

    _embedder: Embedder

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._embedder!r})"

    def get_config(self) -> dict[str, Any]:
        """Chroma: what a collection keeps; the name of the key's variable, never the key."""
        return self._embedder.saved()

    def validate_config_update(self, old_config: dict[str, Any], new_config: dict[str, Any]) -> None:
        """Chroma: raises ValueError for a change after which old and new vectors could not be compared."""
        changed = [name for name in FIXED if old_config.get(name) != new_config.get(name)]
        if changed:
            raise ValueError(f"A collection's {' and '.join(changed)} can not change; make another collection.")

    @staticmethod
    def validate_config(config: dict[str, Any]) -> None:
        """Chroma: raises ValueError or TypeError for settings that make no function."""
        options = {name: value for name, value in config.items() if name not in FIXED}
        if not isinstance(config.get("model"), str) or "api_key" in options:
            raise ValueError("A saved function needs a `model`, and must not have an `api_key`.")
        ClientSettings(**options)


@register_embedding_function
class ShoalEmbeddingFunction(Remembered, EmbeddingFunction[Documents]):
    """Dense vectors; what is added is embedded as documents, what is asked as queries.

    Options are those of `ClientSettings`. The key is in the variable SHOAL_API_KEY.

        import chromadb
        from shoal.chroma import ShoalEmbeddingFunction

        function = ShoalEmbeddingFunction("all-minilm-l6-v2", "http://127.0.0.1:8080")
        collection = chromadb.EphemeralClient().create_collection("fish", embedding_function=function)
        collection.add(ids=["1", "2"], documents=["Herring swim in shoals.", "Hens live in coops."])
        print(collection.query(query_texts=["fish"], n_results=1)["documents"])
    """

    def __init__(self, model: str, url: str = DEFAULT_URL, *, dimensions: int | None = None, **options: Any) -> None:
        self._embedder = Embedder(model, ClientSettings(url=url, **options), dimensions=dimensions)

    def __call__(self, input: Documents) -> Embeddings:  # noqa: A002 - Chroma's name
        """Vectors of texts that are searched."""
        return [np.array(vector, dtype=np.float32) for vector in self._embedder.documents(input)]

    def embed_query(self, input: Documents) -> Embeddings:  # noqa: A002
        """Vectors of texts that search."""
        return [np.array(vector, dtype=np.float32) for vector in self._embedder.queries(input)]

    @staticmethod
    def name() -> str:
        """Chroma: what a collection calls it."""
        return "shoal"

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> "ShoalEmbeddingFunction":
        """Chroma: as a collection kept it."""
        return ShoalEmbeddingFunction(**config)

    def default_space(self) -> Space:
        """Chroma: how vectors are compared where nothing else is said."""
        return "cosine"

    def supported_spaces(self) -> list[Space]:
        """Chroma: how they may be."""
        return ["cosine", "l2", "ip"]


@register_sparse_embedding_function
class ShoalSparseEmbeddingFunction(Remembered, SparseEmbeddingFunction[Documents]):
    """Sparse vectors, for a `SparseVectorIndexConfig` where Chroma has such an index (its cloud; not the local server).

    from shoal.chroma import ShoalSparseEmbeddingFunction

    function = ShoalSparseEmbeddingFunction("splade", "http://127.0.0.1:8080")
    print(function(["Herring swim in shoals."]))
    """

    def __init__(self, model: str, url: str = DEFAULT_URL, **options: Any) -> None:
        self._embedder = Embedder(model, ClientSettings(url=url, **options))

    def __call__(self, input: Documents) -> SparseVectors:  # noqa: A002
        """Vectors of texts that are searched."""
        return self._vectors(input, "document")

    def embed_query(self, input: Documents) -> SparseVectors:  # noqa: A002
        """Vectors of texts that search."""
        return self._vectors(input, "query")

    @staticmethod
    def name() -> str:
        """Chroma: what a collection calls it."""
        return "shoal_sparse"

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> "ShoalSparseEmbeddingFunction":
        """Chroma: as a collection kept it."""
        return ShoalSparseEmbeddingFunction(**config)

    def _vectors(self, texts: Documents, input_type: InputType) -> SparseVectors:
        found = self._embedder.embed(texts, input_type, ("sparse",)).sparse
        return [SparseVector(indices=one.indices, values=one.values) for one in found]
