"""Qdrant: dense, sparse and multi-vector points, and hybrid search. Needs `pip install 'shoal-server[qdrant]'`.

A collection has a named vector for each output of the models: `dense`, `sparse`, and `multi`, a vector for each token,
which is compared by MaxSim and only rescores what the others found.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from qdrant_client import QdrantClient, models

from shoal.client.calls import InputType, Output
from shoal.client.embedder import PROBE, Embedder
from shoal.client.results import Embeddings
from shoal.client.settings import DEFAULT_URL, ClientSettings

OUTPUTS: tuple[Output, ...] = get_args(Output)
POINTS_AT_ONCE = 256


class ShoalCollection:
    """A collection of texts that are searched by all that their models give, in one call.

    `models` is one model for all `outputs`, such as BGE-M3, or a model for each output. Options are those of
    `ClientSettings`.

        from qdrant_client import QdrantClient
        from shoal.qdrant import ShoalCollection

        fish = ShoalCollection(QdrantClient(":memory:"), "fish", "all-minilm-l6-v2", "http://127.0.0.1:8080")
        fish.create()
        fish.add(["Herring swim in shoals.", "Hens live in coops."])
        print(fish.search("fish", limit=1)[0].payload)
    """

    def __init__(
        self,
        client: QdrantClient,
        name: str,
        models: str | Mapping[Output, str],
        url: str = DEFAULT_URL,
        *,
        outputs: Sequence[Output] = ("dense",),
        **options: Any,
    ) -> None:
        by_output = dict.fromkeys(outputs, models) if isinstance(models, str) else dict(models)
        if not by_output or not by_output.keys() <= set(OUTPUTS) or by_output.keys() == {"multi"}:
            raise ValueError(f"outputs are some of {OUTPUTS}, and `multi` alone finds nothing to rescore")
        settings = ClientSettings(url=url, **options)
        self.client, self.name = client, name
        self._embedders = {
            Embedder(model, settings): [output for output in OUTPUTS if by_output.get(output) == model]
            for model in dict.fromkeys(by_output.values())
        }

    def __repr__(self) -> str:
        return f"ShoalCollection({self.name!r}, {list(self._embedders)!r})"

    def create(self, distance: models.Distance = models.Distance.COSINE, **more: Any) -> None:
        """Create the collection, its vectors as wide as the models' are; `more` goes to `create_collection`."""
        probe = self.embed([PROBE], "document")
        self.client.create_collection(self.name, **vectors_of_collection(probe, distance), **more)

    def embed(self, texts: Sequence[str], input_type: InputType) -> Embeddings:
        """All outputs of texts."""
        whole = Embeddings()
        for embedder, outputs in self._embedders.items():
            found = embedder.embed(texts, input_type, outputs)
            for output in outputs:
                getattr(whole, output).extend(getattr(found, output))
        return whole

    def add(
        self,
        texts: Sequence[str],
        payloads: Sequence[Mapping[str, Any]] | None = None,
        ids: Sequence[int | str] | None = None,
    ) -> list[int | str]:
        """Add texts, each in its payload as `text`; gives their ids. Without `ids` each text is there once."""
        ids = list(ids) if ids is not None else [str(uuid.uuid5(uuid.NAMESPACE_OID, text)) for text in texts]
        payloads = payloads if payloads is not None else [{}] * len(texts)
        points = points_of(self.embed(texts, "document"), texts, payloads, ids)
        for start in range(0, len(points), POINTS_AT_ONCE):
            self.client.upsert(self.name, points[start : start + POINTS_AT_ONCE], wait=True)
        return ids

    def search(self, query: str, limit: int = 10, *, candidates: int = 100, **more: Any) -> list[models.ScoredPoint]:
        """The best points: dense and sparse hits fused by rank; `candidates` of each rescored where there is `multi`.

        `more` goes to `query_points`, but for `query_filter`, which holds for every part of the search.
        """
        found = self.embed([query], "query")
        asked = question_of(found, limit, candidates, more.pop("query_filter", None))
        points: list[models.ScoredPoint] = self.client.query_points(self.name, **asked | more).points
        return points


def vectors_of_collection(probe: Embeddings, distance: models.Distance) -> dict[str, Any]:
    """How a collection keeps vectors like these, as `create_collection` takes it."""
    vectors: dict[str, models.VectorParams] = {}
    if probe.dense:
        vectors["dense"] = models.VectorParams(size=len(probe.dense[0]), distance=distance)
    if probe.multi:
        vectors["multi"] = models.VectorParams(
            size=len(probe.multi[0][0]),
            distance=distance,
            multivector_config=models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM),
            hnsw_config=models.HnswConfigDiff(m=0),  # it only rescores, so that no index is needed
        )
    sparse = {"sparse_vectors_config": {"sparse": models.SparseVectorParams()}} if probe.sparse else {}
    return {"vectors_config": vectors, **sparse}


def points_of(
    found: Embeddings, texts: Sequence[str], payloads: Sequence[Mapping[str, Any]], ids: Sequence[int | str]
) -> list[models.PointStruct]:
    """Points with all that was found for their texts."""
    return [
        models.PointStruct(id=id_, vector=vectors_at(found, place), payload={"text": text, **payload})
        for place, (text, payload, id_) in enumerate(zip(texts, payloads, ids, strict=True))
    ]


def vectors_at(found: Embeddings, place: int) -> dict[str, Any]:
    """One text's vectors by name."""
    kept: dict[str, Any] = {name: getattr(found, name)[place] for name in ("dense", "multi") if getattr(found, name)}
    if found.sparse:
        sparse = found.sparse[place]
        kept["sparse"] = models.SparseVector(indices=sparse.indices, values=sparse.values)
    return kept


def question_of(found: Embeddings, limit: int, candidates: int, only: models.Filter | None) -> dict[str, Any]:
    """One search by all that was found for a query, as `query_points` takes it."""
    by_name = vectors_at(found, 0)
    multi = by_name.pop("multi", None)
    if multi is None and len(by_name) == 1:
        ((name, vector),) = by_name.items()
        return {"query": vector, "using": name, "limit": limit, "query_filter": only}
    hits = [
        models.Prefetch(query=vector, using=name, limit=max(limit, candidates), filter=only)
        for name, vector in by_name.items()
    ]
    if multi is not None:
        return {"prefetch": hits, "query": multi, "using": "multi", "limit": limit}
    return {"prefetch": hits, "query": models.FusionQuery(fusion=models.Fusion.RRF), "limit": limit}
