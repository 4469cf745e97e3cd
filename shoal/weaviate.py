"""Weaviate: vectors that a client brings, and settings by which Weaviate's own modules ask a Shoal server.

Needs `pip install 'shoal-server[weaviate]'`. Weaviate asks from where it runs: the address must be one that it reaches.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from weaviate.classes.config import Configure
from weaviate.classes.data import DataObject

from shoal.client.embedder import Embedder
from shoal.client.settings import DEFAULT_URL, ClientSettings


class ShoalVectors:
    """Objects with vectors of a model, and vectors to search by, for collections whose vectors are `self_provided`.

    Options are those of `ClientSettings`; the key is in the variable SHOAL_API_KEY.

        import weaviate
        from weaviate.classes.config import Configure
        from shoal.weaviate import ShoalVectors

        vectors = ShoalVectors("all-minilm-l6-v2", "http://127.0.0.1:8080")
        with weaviate.connect_to_local() as client:
            fish = client.collections.create("Fish", vector_config=Configure.Vectors.self_provided())
            facts = [{"text": "Herring swim in shoals."}, {"text": "Hens live in coops."}]
            fish.data.insert_many(vectors.objects(facts))
            print(fish.query.near_vector(vectors.query("fish"), limit=1).objects)
    """

    def __init__(
        self,
        model: str,
        url: str = DEFAULT_URL,
        *,
        properties: Sequence[str] = ("text",),
        name: str | None = None,
        multi: bool = False,
        **options: Any,
    ) -> None:
        self._embedder = Embedder(model, ClientSettings(url=url, **options))
        self._properties, self._name, self._multi = tuple(properties), name, multi

    def __repr__(self) -> str:
        return f"ShoalVectors({self._embedder!r})"

    def objects(self, properties: Sequence[Mapping[str, Any]]) -> list[DataObject[Any, Any]]:
        """Objects as `insert_many` takes them; their text is that of the `properties` that were named, a line each."""
        texts = ["\n".join(str(one[name]) for name in self._properties if one.get(name)) for one in properties]
        vectors = self._vectors(texts, query=False)
        return [
            DataObject(properties=dict(one), vector=vector if self._name is None else {self._name: vector})
            for one, vector in zip(properties, vectors, strict=True)
        ]

    def query(self, text: str) -> Any:
        """What `near_vector` and `hybrid(vector=…)` search by."""
        return self._vectors([text], query=True)[0]

    def _vectors(self, texts: Sequence[str], *, query: bool) -> list[Any]:
        found = self._embedder.embed(texts, "query" if query else "document", ("multi",) if self._multi else ("dense",))
        return list(found.multi if self._multi else found.dense)


def text2vec_openai(model: str, url: str = DEFAULT_URL, **more: Any) -> Any:
    """Weaviate embeds by OpenAI's wire, queries and documents alike; `more` is `Configure.Vectors.text2vec_openai`'s.

    Weaviate sends `dimensions` under OpenAI's names `text-embedding-3-small` and `-large` alone: give the model such an
    alias, and always say how many, since there they are 1536 and 3072 else.
    """
    return Configure.Vectors.text2vec_openai(model=model, **asked(url), **TEXT_ALONE | more)


def text2vec_cohere(model: str, url: str = DEFAULT_URL, **more: Any) -> Any:
    """Weaviate embeds by Cohere's wire, which tells queries from documents: the better one for most models."""
    return Configure.Vectors.text2vec_cohere(model=model, **asked(url), **TEXT_ALONE | more)


def reranker_cohere(model: str, url: str = DEFAULT_URL) -> Any:
    """Weaviate ranks by Cohere's wire. Older ones take Cohere's names only: give the model such an alias."""
    return Configure.Reranker.cohere(model=model, **asked(url))


TEXT_ALONE = {"vectorize_collection_name": False}
"""An object's text is embedded as it is, without the collection's name before it."""


def asked(url: str) -> dict[str, Any]:
    """The server's address, without the version that other clients want at its end."""
    return {"base_url": ClientSettings(url=url).origin}


def headers(settings: ClientSettings | None = None) -> dict[str, str]:
    """What to connect with, so that these modules have the key: `weaviate.connect_to_local(headers=headers())`."""
    key = (settings or ClientSettings()).key()
    return {"X-OpenAI-Api-Key": key, "X-Cohere-Api-Key": key}
