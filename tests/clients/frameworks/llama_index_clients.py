"""LlamaIndex's integrations: embeddings by OpenAI's wire, rerankers by three others."""

from asking import answer
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.embeddings.openai import OpenAIEmbedding
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.postprocessor.cohere_rerank import CohereRerank
from llama_index.postprocessor.jinaai_rerank import JinaRerank
from llama_index.postprocessor.tei_rerank import TextEmbeddingInference as TeiRerank


def embedder(make):
    return {
        "embed": lambda at, model, texts, **options: make(at, model, **options).get_text_embedding_batch(texts),
        "shorten": lambda at, model, texts, **options: make(at, model, **options).get_text_embedding_batch(texts),
        "query": lambda at, model, text: make(at, model).get_query_embedding(text),
    }


def openai(at, model, **options):
    return OpenAIEmbedding(model_name=model, api_base=f"{at.url}/v1", api_key=at.key, **options)


def openai_model(at, model):
    return OpenAIEmbedding(model=model, api_base=f"{at.url}/v1", api_key=at.key)


def openai_like(at, model, dimensions=None, **options):
    if dimensions is not None:
        options["dimensions"] = dimensions
    return OpenAILikeEmbedding(model_name=model, api_base=f"{at.url}/v1", api_key=at.key, **options)


def reranker(make):
    def rerank(at, model, query, documents, top_n=None):
        nodes = [NodeWithScore(node=TextNode(id_=str(place), text=text)) for place, text in enumerate(documents)]
        found = make(at, model, top_n or len(documents)).postprocess_nodes(nodes, query_str=query)
        return [[int(node.node_id), node.score] for node in found]

    return {"rerank": rerank}


def cohere_rerank(at, model, top_n):
    return CohereRerank(model=model, base_url=at.url, api_key=at.key, top_n=top_n)


def jina_rerank(at, model, top_n):
    return JinaRerank(model=model, base_url=f"{at.url}/v1", api_key=at.key, top_n=top_n)


def tei_rerank(at, model, top_n):
    return TeiRerank(model_name=model, base_url=at.url, auth_token=f"Bearer {at.key}", top_n=top_n)


answer(
    {
        "OpenAIEmbedding": embedder(openai),
        "OpenAIEmbedding(model=…)": embedder(openai_model),
        "OpenAILikeEmbedding": embedder(openai_like),
        "CohereRerank": reranker(cohere_rerank),
        "JinaRerank": reranker(jina_rerank),
        "TextEmbeddingInference": reranker(tei_rerank),
    }
)
