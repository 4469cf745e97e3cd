"""LiteLLM, by the prefix of a provider: each goes by a wire of its own."""

import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it looks for a newer price list

import litellm
from asking import answer

litellm.suppress_debug_info = True


def embedder(prefix, path, **always):
    def embed(at, model, texts, **options):
        reply = litellm.embedding(
            model=prefix + model, input=texts, api_base=at.url + path, api_key=at.key, **always, **options
        )
        return [item["embedding"] for item in reply.data]

    return embed


def of_one_model(kind):
    """It sends no name, as text-embeddings-inference serves one model; but by the name it chooses what to ask."""
    embed = embedder("huggingface/", "/embed", input_type="embed")
    return lambda at, model, texts: embed(at, f"{kind}mini", texts)


def reranker(prefix, path):
    def rerank(at, model, query, documents, top_n=None):
        reply = litellm.rerank(
            model=prefix + model, query=query, documents=documents, top_n=top_n, return_documents=False,
            api_base=at.url + path, api_key=at.key,
        )  # fmt: skip
        return [[result["index"], result["relevance_score"]] for result in reply.results]

    return rerank


def typed(prefix, path):
    """Of Cohere's wire."""
    return {
        "embed": embedder(prefix, path, input_type="search_document"),
        "query": lambda at, model, text: embedder(prefix, path, input_type="search_query")(at, model, [text])[0],
    }


answer(
    {
        "openai/": {
            "embed": embedder("openai/", "/v1"),
            "shorten": embedder("openai/", "/v1", allowed_openai_params=["dimensions"]),
            "too_long": lambda at, model, text: embedder("openai/", "/v1", extra_body={"truncate": False})(
                at, model, [text]
            ),
        },
        "hosted_vllm/": {
            "embed": embedder("hosted_vllm/", "/v1"),
            "shorten": embedder("hosted_vllm/", "/v1"),
            "rerank": reranker("hosted_vllm/", "/v1"),
        },
        "cohere/": {**typed("cohere/", "/v2/embed"), "rerank": reranker("cohere/", "")},
        "cohere/ at …/v1": {"rerank": reranker("cohere/", "/v1")},
        "jina_ai/": {"embed": embedder("jina_ai/", "/v1"), "rerank": reranker("jina_ai/", "/v1")},
        "voyage/": {
            "embed": embedder("voyage/", "/v1"),
            "shorten": embedder("voyage/", "/v1"),
            "rerank": reranker("voyage/", "/v1"),
        },
        "infinity/": {"embed": embedder("infinity/", ""), "rerank": reranker("infinity/", "")},
        "huggingface/": {
            "embed": of_one_model(""),
            "rerank": reranker("huggingface/", ""),
        },
        "huggingface/sentence-transformers/": {"embed": of_one_model("sentence-transformers/")},
        "together_ai/": {"rerank": reranker("together_ai/", "/v1")},
        "litellm_proxy/": {"rerank": reranker("litellm_proxy/", "/v1")},
    }
)
