"""Shoal's own components for Haystack, in pipelines."""

import asyncio
import os

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"

from haystack import Document, Pipeline
from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack.utils import Secret
from steps import steps

from shoal.haystack import ShoalDocumentEmbedder, ShoalRanker, ShoalTextEmbedder


def vectors(url, model, texts, **options):
    of_documents, of_text = ShoalDocumentEmbedder(model, url, **options), ShoalTextEmbedder(model, url, **options)
    documents = [Document(id=str(place), content=text) for place, text in enumerate(texts)]

    async def awaited():
        return {
            "document": [one.embedding for one in (await of_documents.run_async(documents))["documents"]],
            "query": [(await of_text.run_async(text))["embedding"] for text in texts],
        }

    found = of_documents.run(documents)
    reopened = ShoalDocumentEmbedder.from_dict(of_documents.to_dict())
    return {
        "document": [one.embedding for one in found["documents"]],
        "query": [of_text.run(text)["embedding"] for text in texts],
        "awaited": [asyncio.run(awaited()) for _ in range(2)],
        "reopened": [one.embedding for one in reopened.run(documents)["documents"]],
        "meta": found["meta"],
        "untouched": all(document.embedding is None for document in documents),
        "saved": repr([of_documents.to_dict(), of_text.to_dict()]),
        "repr": repr([of_documents, of_text]),
    }


def find(url, model, facts, questions):
    """By a pipeline that went through YAML."""
    store = InMemoryDocumentStore(embedding_similarity_function="cosine")
    documents = [Document(content=text, meta={"label": label}) for text, label in facts]
    store.write_documents(ShoalDocumentEmbedder(model, url).run(documents)["documents"])
    pipeline = Pipeline()
    pipeline.add_component("embedder", ShoalTextEmbedder(model, url))
    pipeline.add_component("ranker", ShoalRanker(model, url, top_k=3))
    pipeline = Pipeline.loads(pipeline.dumps(), allowed_modules=["shoal.haystack"])
    pipeline.add_component("retriever", InMemoryEmbeddingRetriever(store, top_k=8))
    pipeline.connect("embedder.embedding", "retriever.query_embedding")
    pipeline.connect("retriever.documents", "ranker.documents")
    found = [
        pipeline.run({"embedder": {"text": one}, "ranker": {"query": one}})["ranker"]["documents"] for one in questions
    ]
    return [[document.meta["label"] for document in documents] for documents in found]


def rerank(url, model, question, texts, top_n=None):
    ranker, documents = (
        ShoalRanker(model, url, top_k=top_n),
        [Document(id=str(at), content=text) for at, text in enumerate(texts)],
    )
    found = [
        ranker.run(question, documents)["documents"],
        asyncio.run(ranker.run_async(question, documents))["documents"],
        ShoalRanker.from_dict(ranker.to_dict()).run(question, documents)["documents"],
    ]
    return {
        "ranked": [[[int(one.id), one.score] for one in ranked] for ranked in found],
        "untouched": all(document.score is None for document in documents),
        "saved": repr(ranker.to_dict()),
        "repr": repr(ranker),
    }


def token(url, model):
    """A key that is written into the code is not written into a file."""
    try:
        ShoalTextEmbedder(model, url, api_key=Secret.from_token("sk-shoal-written-here")).to_dict()
    except ValueError as error:
        return str(error)


steps(vectors, find, rerank, token)
