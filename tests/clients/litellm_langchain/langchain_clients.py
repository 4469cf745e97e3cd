"""LangChain's integrations of OpenAI and Cohere."""

from asking import answer
from langchain_cohere import CohereEmbeddings, CohereRerank
from langchain_openai import OpenAIEmbeddings


def openai(at, model, **options):
    return OpenAIEmbeddings(model=model, base_url=f"{at.url}/v1", api_key=at.key, **options)


def embedder(**always):
    def embed(at, model, texts, **options):
        return openai(at, model, **always, **options).embed_documents(texts)

    return embed


def cohere(at, model):
    return CohereEmbeddings(model=model, base_url=at.url, cohere_api_key=at.key)


def rerank(at, model, query, documents, top_n=None):
    reranker = CohereRerank(model=model, base_url=at.url, cohere_api_key=at.key)
    found = reranker.rerank(documents, query, top_n=top_n)
    return [[result["index"], result["relevance_score"]] for result in found]


answer(
    {
        "token arrays": {
            "embed": embedder(),
            "shorten": embedder(),
            "query": lambda at, model, text: openai(at, model).embed_query(text),
        },
        "texts": {
            "embed": embedder(check_embedding_ctx_length=False),
            "shorten": embedder(check_embedding_ctx_length=False),
            "query": lambda at, model, text: openai(at, model, check_embedding_ctx_length=False).embed_query(text),
        },
        "CohereEmbeddings": {
            "embed": lambda at, model, texts: cohere(at, model).embed_documents(texts),
            "query": lambda at, model, text: cohere(at, model).embed_query(text),
        },
        "CohereRerank": {"rerank": rerank},
    }
)
