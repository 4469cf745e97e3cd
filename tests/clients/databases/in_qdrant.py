"""Qdrant, in a folder."""

from qdrant_client import QdrantClient, models
from steps import steps

from shoal.qdrant import ShoalCollection


def opened(folder, url, model, outputs):
    models_ = model if isinstance(model, str) else dict(model)
    return ShoalCollection(QdrantClient(path=folder), "facts", models_, url, outputs=outputs)


def add(folder, url, model, facts, outputs=("dense",), twice=False):
    facts_there = opened(folder, url, model, outputs)
    facts_there.create()
    texts, labels = zip(*facts, strict=True)
    for _ in range(1 + twice):
        ids = facts_there.add(texts, [{"label": label} for label in labels])
    counted = facts_there.client.count("facts").count
    facts_there.client.close()
    return {"ids": ids, "count": counted}


def find(folder, url, model, questions, outputs=("dense",), limit=3, only=None):
    facts_there = opened(folder, url, model, outputs)
    allowed = only and models.Filter(must=[models.FieldCondition(key="label", match=models.MatchValue(value=only))])
    found = [facts_there.search(question, limit, query_filter=allowed) for question in questions]
    facts_there.client.close()
    return {
        "labels": [[point.payload["label"] for point in points] for points in found],
        "texts": [[point.payload["text"] for point in points] for points in found],
        "scores": [[point.score for point in points] for points in found],
        "repr": repr(facts_there),
    }


steps(add, find)
