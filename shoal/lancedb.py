"""LanceDB: an embedding function that a table remembers, and a reranker.

Needs `pip install 'shoal-server[lancedb]'`.
"""

from typing import Any

import pyarrow as pa
from lancedb.embeddings import TextEmbeddingFunction, register
from lancedb.rerankers import Reranker as LanceReranker
from pydantic import Field, PrivateAttr

from shoal.client.embedder import Embedder
from shoal.client.reranker import Reranker
from shoal.client.settings import API_KEY_ENV, DEFAULT_URL, ClientSettings


@register("shoal")
class ShoalEmbeddings(TextEmbeddingFunction):
    """Vectors of a table's source column; what is searched for is embedded as a query.

    A table's schema keeps the settings, and whoever opens it again needs `import shoal.lancedb` and the key's variable.

        import lancedb
        from lancedb.pydantic import LanceModel, Vector
        from shoal.lancedb import ShoalEmbeddings

        function = ShoalEmbeddings.create(model="all-minilm-l6-v2", url="http://127.0.0.1:8080")

        class Fact(LanceModel):
            text: str = function.SourceField()
            vector: Vector(function.ndims()) = function.VectorField()

        table = lancedb.connect("data/lancedb").create_table("facts", schema=Fact, mode="overwrite")
        table.add([{"text": "Herring swim in shoals."}, {"text": "Hens live in coops."}])
        print(table.search("fish").limit(1).to_list())
    """

    model: str
    url: str = DEFAULT_URL
    api_key_env: str = API_KEY_ENV
    dimensions: int | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    """More of `ClientSettings`."""
    max_retries: int = 0
    """LanceDB's own, around those of the client."""
    _embedder: Embedder = PrivateAttr()

    def model_post_init(self, context: Any) -> None:
        """pydantic: the fields are there."""
        super().model_post_init(context)
        settings = ClientSettings(url=self.url, api_key_env=self.api_key_env, **self.options)
        self._embedder = Embedder(self.model, settings, dimensions=self.dimensions)

    def ndims(self) -> int:
        """LanceDB: numbers in a vector."""
        return self._embedder.width()

    def generate_embeddings(self, texts: Any, *_: Any, **__: Any) -> list[Any]:
        """Vectors of texts that are searched; a row without a text has none."""
        places = [place for place, text in enumerate(texts) if text is not None]
        vectors: list[Any] = [None] * len(texts)
        for place, vector in zip(places, self._embedder.documents([texts[one] for one in places]), strict=True):
            vectors[place] = vector
        return vectors

    def compute_query_embeddings(self, query: str, *_: Any, **__: Any) -> list[Any]:
        """The vector of a text that searches."""
        return [self._embedder.query(query)]


class ShoalReranker(LanceReranker):
    """Orders what a search found anew, by how well it answers the query. Options are those of `ClientSettings`.

    import lancedb
    from shoal.lancedb import ShoalReranker

    table = lancedb.connect("data/lancedb").open_table("facts")
    rerank = ShoalReranker("all-minilm-l6-v2", "http://127.0.0.1:8080")
    print(table.search("Who swims?").limit(10).rerank(rerank).to_list())
    """

    def __init__(
        self,
        model: str,
        url: str = DEFAULT_URL,
        *,
        column: str = "text",
        top_n: int | None = None,
        return_score: str = "relevance",
        **options: Any,
    ) -> None:
        super().__init__(return_score)
        self.column = column
        self._reranker = Reranker(model, ClientSettings(url=url, **options), top_n=top_n)

    def __repr__(self) -> str:
        return f"ShoalReranker({self._reranker!r})"

    def rerank_hybrid(self, query: str, vector_results: pa.Table, fts_results: pa.Table) -> pa.Table:
        """What a vector search and a text search found."""
        merge = self._merge_and_keep_scores if self.score == "all" else self.merge_results
        return self._keep_relevance_score(self._ranked(query, merge(vector_results, fts_results)))

    def rerank_vector(self, query: str, vector_results: pa.Table) -> pa.Table:
        """What a vector search found."""
        return self._keep_relevance_score(self._ranked(query, vector_results))

    def rerank_fts(self, query: str, fts_results: pa.Table) -> pa.Table:
        """What a text search found."""
        return self._keep_relevance_score(self._ranked(query, fts_results))

    def _ranked(self, query: str, found: pa.Table) -> pa.Table:
        if len(found) == 0:
            return self._handle_empty_results(found)
        best = self._reranker.best(query, [text or "" for text in found[self.column].to_pylist()])
        scores = pa.array([one.score for one in best], type=pa.float32())
        return found.take([one.index for one in best]).append_column("_relevance_score", scores)
