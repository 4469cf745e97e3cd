"""Voyage's own client for Python."""

import voyageai
from asking import answer


def client(at):
    return voyageai.Client(api_key=at.key, base_url=f"{at.url}/v1")


def embed(at, model, texts, kind="document", dimensions=None, **options):
    return client(at).embed(texts, model=model, input_type=kind, output_dimension=dimensions, **options).embeddings


def rerank(at, model, query, documents, top_n=None):
    reply = client(at).rerank(query, documents, model=model, top_k=top_n)
    assert reply.total_tokens > 0
    return [[result.index, result.relevance_score] for result in reply.results]


answer(
    {
        "Client": {
            "embed": embed,
            "shorten": embed,
            "query": lambda at, model, text: embed(at, model, [text], "query")[0],
            "too_long": lambda at, model, text: embed(at, model, [text], truncation=False),
            "rerank": rerank,
        }
    }
)
