"""One reranking model as frameworks want it, with and without `await`."""

from collections.abc import Sequence
from typing import Any

from shoal.client.asynchronous import AsyncShoal
from shoal.client.blocking import Shoal
from shoal.client.results import Ranked
from shoal.client.settings import ClientSettings


class Reranker:
    """A model on a server that says how well documents answer a query; embedders do so by their cosine."""

    def __init__(self, model: str, settings: ClientSettings, *, top_n: int | None = None) -> None:
        self.model = model
        self.settings = settings
        self.top_n = top_n
        self._shoal, self._async_shoal = Shoal(settings=settings), AsyncShoal(settings=settings)

    def __repr__(self) -> str:
        return f"Reranker({self.model!r}, {self.settings!r}, top_n={self.top_n})"

    def saved(self) -> dict[str, Any]:
        """What makes one like it, as JSON can hold it; the key's variable, and never the key."""
        chosen = {} if self.top_n is None else {"top_n": self.top_n}
        return {"model": self.model, **chosen, **self.settings.saved()}

    def best(self, query: str, documents: Sequence[str], top_n: int | None = None) -> list[Ranked]:
        """The documents by their score, the best first: `top_n` of them, or as many as were said before, or all."""
        return self._shoal.rerank(query, documents, model=self.model, top_n=top_n or self.top_n).results

    async def abest(self, query: str, documents: Sequence[str], top_n: int | None = None) -> list[Ranked]:
        """`best`, with await."""
        ranking = await self._async_shoal.rerank(query, documents, model=self.model, top_n=top_n or self.top_n)
        return ranking.results

    def close(self) -> None:
        """Close the connections that are not an event loop's."""
        self._shoal.close()

    async def aclose(self) -> None:
        """Close those of this event loop."""
        await self._async_shoal.aclose()
