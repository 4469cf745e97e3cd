"""LlamaIndex: an embedding, and a node postprocessor that ranks anew.

Needs `pip install 'shoal-server[llamaindex]'`.
"""

from collections.abc import Sequence
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle

from shoal.client.embedder import Embedder
from shoal.client.reranker import Reranker
from shoal.client.results import Ranked
from shoal.client.settings import API_KEY_ENV, DEFAULT_URL, ClientSettings

AT_ONCE = 2048
"""The most texts that LlamaIndex hands over at once; requests are made of them here."""


class ShoalEmbedding(BaseEmbedding):
    """Vectors for LlamaIndex; nodes are embedded as documents, questions as queries.

    The key is in the variable SHOAL_API_KEY, or is given as `api_key`, which `to_dict` leaves out.

        from llama_index.core import Document, VectorStoreIndex
        from shoal.llamaindex import ShoalEmbedding

        embedding = ShoalEmbedding(model_name="all-minilm-l6-v2", url="http://127.0.0.1:8080")
        index = VectorStoreIndex.from_documents([Document(text="Herring swim in shoals.")], embed_model=embedding)
        print(index.as_retriever(similarity_top_k=1).retrieve("fish"))
    """

    url: str = DEFAULT_URL
    api_key_env: str = API_KEY_ENV
    dimensions: int | None = None
    embed_batch_size: int = Field(default=AT_ONCE, gt=0, le=AT_ONCE)
    options: dict[str, Any] = Field(default_factory=dict)
    """More of `ClientSettings`."""
    _embedder: Embedder = PrivateAttr()

    def __init__(self, model_name: str, *, api_key: str | None = None, **fields: Any) -> None:
        super().__init__(model_name=model_name, **fields)
        settings = ClientSettings(url=self.url, api_key=api_key, api_key_env=self.api_key_env, **self.options)
        self._embedder = Embedder(model_name, settings, dimensions=self.dimensions)

    @classmethod
    def class_name(cls) -> str:
        """LlamaIndex: what it is saved as."""
        return "ShoalEmbedding"

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._embedder.documents([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return self._embedder.documents(texts)

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._embedder.query(query)

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return (await self._embedder.adocuments([text]))[0]

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await self._embedder.adocuments(texts)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return await self._embedder.aquery(query)


class ShoalRerank(BaseNodePostprocessor):
    """Keeps the nodes that answer a question best, with their new scores.

    from llama_index.core.schema import NodeWithScore, TextNode
    from shoal.llamaindex import ShoalRerank

    rerank = ShoalRerank(model="all-minilm-l6-v2", url="http://127.0.0.1:8080", top_n=1)
    nodes = [NodeWithScore(node=TextNode(text=text)) for text in ("herring", "hens")]
    print(rerank.postprocess_nodes(nodes, query_str="Who swims?"))
    """

    model: str
    url: str = DEFAULT_URL
    top_n: int | None = 3
    """So many of the best; None: all, in their new order."""
    api_key_env: str = API_KEY_ENV
    options: dict[str, Any] = Field(default_factory=dict)
    """More of `ClientSettings`."""
    _reranker: Reranker = PrivateAttr()

    def __init__(self, model: str, *, api_key: str | None = None, **fields: Any) -> None:
        super().__init__(model=model, **fields)
        settings = ClientSettings(url=self.url, api_key=api_key, api_key_env=self.api_key_env, **self.options)
        self._reranker = Reranker(model, settings, top_n=self.top_n)

    @classmethod
    def class_name(cls) -> str:
        """LlamaIndex: what it is saved as."""
        return "ShoalRerank"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        return kept(nodes, self._reranker.best(question(query_bundle), texts_of(nodes)))

    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        return kept(nodes, await self._reranker.abest(question(query_bundle), texts_of(nodes)))


def question(query_bundle: QueryBundle | None) -> str:
    """What is asked. Raises ValueError where nothing is."""
    if query_bundle is None:
        raise ValueError("Nodes are ranked for a query: give one.")
    asked: str = query_bundle.query_str
    return asked


def texts_of(nodes: Sequence[NodeWithScore]) -> list[str]:
    """What is ranked: what an embedding sees of a node."""
    return [node.node.get_content(metadata_mode=MetadataMode.EMBED) for node in nodes]


def kept(nodes: Sequence[NodeWithScore], ranked: Sequence[Ranked]) -> list[NodeWithScore]:
    """The best, best first."""
    return [NodeWithScore(node=nodes[one.index].node, score=one.score) for one in ranked]
