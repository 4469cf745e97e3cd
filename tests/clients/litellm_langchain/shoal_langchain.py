"""Shoal's own classes for LangChain."""

import asyncio

from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore
from steps import steps

from shoal.langchain import ShoalEmbeddings, ShoalRerank


def vectors(url, model, texts, **options):
    embeddings = ShoalEmbeddings(model, url, **options)

    async def awaited():
        return {
            "document": await embeddings.aembed_documents(texts),
            "query": [await embeddings.aembed_query(text) for text in texts],
        }

    return {
        "document": embeddings.embed_documents(texts),
        "query": [embeddings.embed_query(text) for text in texts],
        "awaited": [asyncio.run(awaited()) for _ in range(2)],
        "repr": repr(embeddings),
    }


def find(url, model, facts, questions):
    store = InMemoryVectorStore(ShoalEmbeddings(model, url))
    store.add_texts([text for text, _ in facts], [{"label": label} for _, label in facts])

    async def awaited():
        return [await store.asimilarity_search(question, k=3) for question in questions]

    found = [[store.similarity_search(question, k=3) for question in questions], asyncio.run(awaited())]
    return [[[one.metadata["label"] for one in documents] for documents in each] for each in found]


def rerank(url, model, question, texts, **options):
    documents = [Document(text, metadata={"place": place}) for place, text in enumerate(texts)]
    compressor = ShoalRerank(model=model, url=url, **options)
    found = [
        compressor.compress_documents(documents, question),
        asyncio.run(compressor.acompress_documents(documents, question)),
        ShoalRerank(**compressor.model_dump()).compress_documents(documents, question),
    ]
    return {
        "ranked": [[[one.metadata["place"], one.metadata["relevance_score"]] for one in ranked] for ranked in found],
        "untouched": all(document.metadata == {"place": place} for place, document in enumerate(documents)),
        "saved": compressor.model_dump_json(),
        "repr": repr(compressor),
    }


steps(vectors, find, rerank)
