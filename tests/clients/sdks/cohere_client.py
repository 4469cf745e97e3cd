"""Cohere's own client for Python, in both of its versions."""

import cohere
from asking import answer


def first(at):
    return cohere.Client(api_key=at.key, base_url=at.url)


def second(at):
    return cohere.ClientV2(api_key=at.key, base_url=at.url)


def embed_first(at, model, texts, kind="search_document"):
    return first(at).embed(texts=texts, model=model, input_type=kind).embeddings


def embed_second(at, model, texts, kind="search_document", dimensions=None, **options):
    if dimensions is not None:
        options["output_dimension"] = dimensions
    reply = second(at).embed(texts=texts, model=model, input_type=kind, embedding_types=["float"], **options)
    return reply.embeddings.float_


def ranked(reply):
    return [[result.index, result.relevance_score] for result in reply.results]


def rerank_first(at, model, query, documents, top_n=None):
    reply = first(at).rerank(model=model, query=query, documents=documents, top_n=top_n, return_documents=True)
    assert all(result.document.text == documents[result.index] for result in reply.results)
    return ranked(reply)


def rerank_second(at, model, query, documents, top_n=None):
    return ranked(second(at).rerank(model=model, query=query, documents=documents, top_n=top_n))


answer(
    {
        "Client": {
            "embed": embed_first,
            "query": lambda at, model, text: embed_first(at, model, [text], "search_query")[0],
            "rerank": rerank_first,
        },
        "ClientV2": {
            "embed": embed_second,
            "shorten": embed_second,
            "query": lambda at, model, text: embed_second(at, model, [text], "search_query")[0],
            "too_long": lambda at, model, text: embed_second(at, model, [text], truncate="NONE"),
            "rerank": rerank_second,
        },
    }
)
