"""LangChain: embeddings, and a document compressor that ranks anew. Needs `pip install 'shoal-server[langchain]'`."""

from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.embeddings import Embeddings
from pydantic import ConfigDict, Field, PrivateAttr, SecretStr

from shoal.client.embedder import Embedder
from shoal.client.reranker import Reranker
from shoal.client.results import Ranked
from shoal.client.settings import API_KEY_ENV, DEFAULT_URL, ClientSettings


class ShoalEmbeddings(Embeddings):
    """Vectors for LangChain's stores; what is searched and what searches are embedded as such.

    The key is in the variable SHOAL_API_KEY, or is given as `api_key`; options are those of `ClientSettings`.

        from langchain_core.vectorstores import InMemoryVectorStore
        from shoal.langchain import ShoalEmbeddings

        store = InMemoryVectorStore(ShoalEmbeddings("all-minilm-l6-v2", "http://127.0.0.1:8080"))
        store.add_texts(["Herring swim in shoals.", "Hens live in coops."])
        print(store.similarity_search("fish", k=1))
    """

    def __init__(
        self,
        model: str,
        url: str = DEFAULT_URL,
        *,
        api_key: SecretStr | str | None = None,
        dimensions: int | None = None,
        **options: Any,
    ) -> None:
        settings = ClientSettings(url=url, api_key=secret(api_key), **options)
        self._embedder = Embedder(model, settings, dimensions=dimensions)

    def __repr__(self) -> str:
        return f"ShoalEmbeddings({self._embedder!r})"

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Vectors of texts that are searched."""
        return self._embedder.documents(texts)

    def embed_query(self, text: str) -> list[float]:
        """The vector of a text that searches."""
        return self._embedder.query(text)

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """`embed_documents`, with await."""
        return await self._embedder.adocuments(texts)

    async def aembed_query(self, text: str) -> list[float]:
        """`embed_query`, with await."""
        return await self._embedder.aquery(text)


class ShoalRerank(BaseDocumentCompressor):
    """Keeps the documents that answer a query best, each with its `relevance_score` in the metadata.

    from langchain_core.documents import Document
    from shoal.langchain import ShoalRerank

    rerank = ShoalRerank(model="all-minilm-l6-v2", url="http://127.0.0.1:8080", top_n=1)
    print(rerank.compress_documents([Document("herring"), Document("hens")], "Who swims?"))
    """

    model_config = ConfigDict(extra="forbid")

    model: str
    url: str = DEFAULT_URL
    top_n: int | None = 3
    """So many of the best; None: all, in their new order."""
    api_key: SecretStr | None = Field(default=None, exclude=True)
    api_key_env: str = API_KEY_ENV
    options: dict[str, Any] = Field(default_factory=dict)
    """More of `ClientSettings`."""
    _reranker: Reranker = PrivateAttr()

    def model_post_init(self, _: Any) -> None:
        """pydantic: the fields are there."""
        settings = ClientSettings(
            url=self.url, api_key=secret(self.api_key), api_key_env=self.api_key_env, **self.options
        )
        self._reranker = Reranker(self.model, settings, top_n=self.top_n)

    def compress_documents(
        self,
        documents: Sequence[Document],
        query: str,
        callbacks: Callbacks | None = None,  # noqa: ARG002
    ) -> Sequence[Document]:
        """The best, best first."""
        return kept(documents, self._reranker.best(query, texts_of(documents)))

    async def acompress_documents(
        self,
        documents: Sequence[Document],
        query: str,
        callbacks: Callbacks | None = None,  # noqa: ARG002
    ) -> Sequence[Document]:
        """`compress_documents`, with await."""
        return kept(documents, await self._reranker.abest(query, texts_of(documents)))


def secret(key: SecretStr | str | None) -> Any:
    """A key as settings take it."""
    return key.get_secret_value if isinstance(key, SecretStr) else key


def texts_of(documents: Sequence[Document]) -> list[str]:
    """What is ranked."""
    return [document.page_content for document in documents]


def kept(documents: Sequence[Document], ranked: Sequence[Ranked]) -> list[Document]:
    """Copies with their scores; the documents that were given stay as they are."""
    return [
        documents[one.index].model_copy(
            update={"metadata": {**documents[one.index].metadata, "relevance_score": one.score}}
        )
        for one in ranked
    ]
