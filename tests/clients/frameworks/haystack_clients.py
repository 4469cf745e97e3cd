"""Haystack's components: embedders by OpenAI's wire, rankers by Cohere's and Jina's."""

import os

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"

from asking import answer
from haystack import Document
from haystack.components.embedders import OpenAIDocumentEmbedder, OpenAITextEmbedder
from haystack.utils import Secret
from haystack_integrations.components.rankers.cohere import CohereRanker
from haystack_integrations.components.rankers.jina import JinaRanker


def openai(at, model):
    return {"model": model, "api_base_url": f"{at.url}/v1", "api_key": Secret.from_token(at.key)}


def embed(at, model, texts, **options):
    embedder = OpenAIDocumentEmbedder(**openai(at, model), progress_bar=False, **options)
    found = embedder.run([Document(id=str(place), content=text) for place, text in enumerate(texts)])
    return [document.embedding for document in found["documents"]]


def query(at, model, text, **options):
    found = OpenAITextEmbedder(**openai(at, model), **options).run(text)
    assert found["meta"]["usage"]["total_tokens"] > 0
    return found["embedding"]


def reranker(kind, field, path):
    def rerank(at, model, query, documents, top_n=None):
        address = {field: at.url + path, "api_key": Secret.from_token(at.key)}
        found = kind(model=model, top_k=top_n or len(documents), **address).run(
            query=query, documents=[Document(id=str(place), content=text) for place, text in enumerate(documents)]
        )
        return [[int(document.id), document.score] for document in found["documents"]]

    return rerank


answer(
    {
        "OpenAIDocumentEmbedder": {"embed": embed, "shorten": embed},
        "OpenAITextEmbedder": {
            "embed": lambda at, model, texts: [query(at, model, text) for text in texts],
            "shorten": lambda at, model, texts, dimensions=None: [
                query(at, model, text, dimensions=dimensions) for text in texts
            ],
            "query": query,
        },
        "CohereRanker": {"rerank": reranker(CohereRanker, "api_base_url", "")},
        "JinaRanker": {"rerank": reranker(JinaRanker, "base_url", "/v1/rerank")},
    }
)
