"""One embedding model as frameworks want it: documents and queries apart, with and without `await`."""

from collections.abc import Sequence
from typing import Any

from shoal.client.asynchronous import AsyncShoal
from shoal.client.blocking import Shoal
from shoal.client.calls import Call, InputType, Output, embed
from shoal.client.results import Embeddings, Vector
from shoal.client.settings import ClientSettings

PROBE = "herring"
"""What is embedded to see how wide a model's vectors are."""


class Embedder:
    """A model on a server, told of every text whether it is a query or a document."""

    def __init__(self, model: str, settings: ClientSettings, *, dimensions: int | None = None) -> None:
        self.model = model
        self.settings = settings
        self.dimensions = dimensions
        self._shoal, self._async_shoal = Shoal(settings=settings), AsyncShoal(settings=settings)

    def __repr__(self) -> str:
        return f"Embedder({self.model!r}, {self.settings!r}, dimensions={self.dimensions})"

    def saved(self) -> dict[str, Any]:
        """What makes one like it, as JSON can hold it; the key's variable, and never the key."""
        chosen = {} if self.dimensions is None else {"dimensions": self.dimensions}
        return {"model": self.model, **chosen, **self.settings.saved()}

    def documents(self, texts: Sequence[str]) -> list[Vector]:
        """Vectors of texts that are searched."""
        return self.embed(texts, "document").dense

    def queries(self, texts: Sequence[str]) -> list[Vector]:
        """Vectors of texts that search."""
        return self.embed(texts, "query").dense

    def query(self, text: str) -> Vector:
        """The vector of a text that searches."""
        return self.queries([text])[0]

    async def adocuments(self, texts: Sequence[str]) -> list[Vector]:
        """`documents`, with await."""
        return (await self.aembed(texts, "document")).dense

    async def aquery(self, text: str) -> Vector:
        """`query`, with await."""
        return (await self.aembed([text], "query")).dense[0]

    def embed(self, texts: Sequence[str], input_type: InputType, outputs: Sequence[Output] = ("dense",)) -> Embeddings:
        """Every output of texts."""
        return self._shoal.ask(self._call(texts, input_type, outputs))

    async def aembed(
        self, texts: Sequence[str], input_type: InputType, outputs: Sequence[Output] = ("dense",)
    ) -> Embeddings:
        """`embed`, with await."""
        return await self._async_shoal.ask(self._call(texts, input_type, outputs))

    def width(self) -> int:
        """Numbers in a dense vector: as chosen, as the server's register says, or else as it turns out."""
        return self.dimensions or self._shoal.describe(self.model).dimensions or len(self.query(PROBE))

    def close(self) -> None:
        """Close the connections that are not an event loop's."""
        self._shoal.close()

    async def aclose(self) -> None:
        """Close those of this event loop."""
        await self._async_shoal.aclose()

    def _call(self, texts: Sequence[str], input_type: InputType, outputs: Sequence[Output]) -> Call[Embeddings]:
        return embed(texts, model=self.model, input_type=input_type, outputs=outputs, dimensions=self.dimensions)
