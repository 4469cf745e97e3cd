"""Shoal's own classes for LlamaIndex."""

import asyncio

from llama_index.core import Document, VectorStoreIndex
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from steps import steps

from shoal.llamaindex import ShoalEmbedding, ShoalRerank


def vectors(url, model, texts, **options):
    embedding = ShoalEmbedding(model, url=url, **options)
    saved = embedding.to_dict()

    async def awaited():
        return {
            "document": await embedding.aget_text_embedding_batch(texts),
            "query": [await embedding.aget_query_embedding(text) for text in texts],
        }

    return {
        "document": embedding.get_text_embedding_batch(texts),
        "single": [embedding.get_text_embedding(text) for text in texts],
        "query": [embedding.get_query_embedding(text) for text in texts],
        "awaited": [asyncio.run(awaited()) for _ in range(2)],
        "reopened": ShoalEmbedding.from_dict(dict(saved)).get_text_embedding_batch(texts),
        "saved": repr(saved),
        "repr": repr(embedding),
    }


def find(url, model, facts, questions):
    documents = [
        Document(text=text, metadata={"label": label}, excluded_embed_metadata_keys=["label"]) for text, label in facts
    ]
    index = VectorStoreIndex.from_documents(documents, embed_model=ShoalEmbedding(model, url=url))
    retriever = index.as_retriever(similarity_top_k=3)
    return [[hit.metadata["label"] for hit in retriever.retrieve(question)] for question in questions]


def rerank(url, model, question, texts, **options):
    nodes = [NodeWithScore(node=TextNode(text=text, id_=str(place)), score=0.0) for place, text in enumerate(texts)]
    postprocessor = ShoalRerank(model, url=url, **options)
    found = [
        postprocessor.postprocess_nodes(nodes, query_str=question),
        asyncio.run(postprocessor.apostprocess_nodes(nodes, QueryBundle(question))),
        ShoalRerank.from_dict(postprocessor.to_dict()).postprocess_nodes(nodes, query_str=question),
    ]
    return {
        "ranked": [[[int(one.node.node_id), one.score] for one in ranked] for ranked in found],
        "untouched": all(node.score == 0.0 for node in nodes),
        "saved": repr(postprocessor.to_dict()),
        "repr": repr(postprocessor),
    }


steps(vectors, find, rerank)
