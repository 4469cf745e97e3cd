"""The clients that the suite asks: how each is run, what it sends, and what it can do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from client_scripts import NODE, OURS


def texts(sent: Any) -> bool:
    return all(isinstance(text, str) for text in sent)


def token_arrays(sent: Any) -> bool:
    """Whether these are numbers of tokens in place of texts."""
    return all(isinstance(token, int) for tokens in sent for token in tokens)


@dataclass(frozen=True)
class Wire:
    """What a client's request is to look like."""

    path: str
    sends: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the body: a value, or what it must satisfy."""


@dataclass(frozen=True)
class Client:
    """A way to ask, and what is to come of it."""

    name: str
    environment: str
    script: str
    part: str
    """As the script calls it."""
    package: str
    embed: Wire | None = None
    rerank: Wire | None = None
    requests: int = 1
    """For 3,000 texts; 0: it takes one text at a time."""
    names_no_model: bool = False
    """The caller's default answers."""
    embeds_as: str | None = None
    """What it says of texts that are no queries."""
    query: str | None = None
    """`typed`: it says what is a query. `plain`: it has a call for queries, which says nothing on the wire."""
    shortens: bool = False
    can_refuse: bool = False
    """Texts that are too long."""
    raises: str | None = None
    """It does not work: this is raised, and `why`."""
    why: str = ""


V1 = "/v1/embeddings"
TYPED = {"embeds_as": "document", "query": "typed"}
BASE64 = {"encoding_format": "base64"}
FLOAT = {"encoding_format": "float"}
DOCUMENT = {"input_type": "search_document"}
LITELLM = ("litellm_langchain", "litellm_langchain/litellm_client.py")
LANGCHAIN = ("litellm_langchain", "litellm_langchain/langchain_clients.py")
LLAMA_INDEX = ("frameworks", "frameworks/llama_index_clients.py")
HAYSTACK = ("frameworks", "frameworks/haystack_clients.py")

CLIENTS = (
    *(
        Client(
            name, environment, "sdks/openai_client.py", "embeddings", "openai",
            embed=Wire(V1, BASE64), query="typed", shortens=True, can_refuse=True,
        )
        for name, environment in (("OpenAI (Python)", OURS), ("OpenAI (Python), 2", "litellm_langchain"))
    ),
    Client(
        "OpenAI (Python), `model:query`", OURS, "sdks/openai_client.py", "a suffix of the model", "openai",
        embed=Wire(V1, BASE64), **TYPED,
    ),
    Client(
        "OpenAI (Node)", NODE, "node/openai.mjs", "embeddings", "openai",
        embed=Wire(V1, BASE64), shortens=True, can_refuse=True,
    ),
    *(
        client
        for suffix, environment in (("", OURS), (", 5", "litellm_langchain"))
        for client in (
            Client(
                f"Cohere (Python) `Client`{suffix}", environment, "sdks/cohere_client.py", "Client", "cohere",
                embed=Wire("/v1/embed", DOCUMENT), requests=32, **TYPED,
                rerank=Wire("/v1/rerank", {"return_documents": True}),
            ),
            Client(
                f"Cohere (Python) `ClientV2`{suffix}", environment, "sdks/cohere_client.py", "ClientV2", "cohere",
                embed=Wire("/v2/embed", {**DOCUMENT, "embedding_types": ["float"]}), **TYPED,
                shortens=True, can_refuse=True, rerank=Wire("/v2/rerank"),
            ),
        )
    ),
    Client(
        "Cohere (Node) `CohereClient`", NODE, "node/cohere.mjs", "CohereClient", "cohere-ai",
        embed=Wire("/v1/embed"), **TYPED, rerank=Wire("/v1/rerank"),
    ),
    Client(
        "Cohere (Node) `CohereClientV2`", NODE, "node/cohere.mjs", "CohereClientV2", "cohere-ai",
        embed=Wire("/v2/embed"), **TYPED, shortens=True, can_refuse=True, rerank=Wire("/v2/rerank"),
    ),
    Client(
        "Voyage (Python)", "litellm_langchain", "sdks/voyage_client.py", "Client", "voyageai",
        embed=Wire(V1, {"input_type": "document", "truncation": True, **BASE64}), **TYPED, shortens=True,
        can_refuse=True, rerank=Wire("/v1/rerank", {"truncation": True}),
    ),
    *(
        Client(
            f"Hugging Face `InferenceClient`, {part}", OURS, "sdks/hugging_face.py", part, "huggingface_hub",
            embed=Wire(path), names_no_model=True, can_refuse=can_refuse,
        )
        for part, path, can_refuse in (("the address", "/", True), ("/embed", "/embed", False))
    ),
    Client(
        "LiteLLM `openai/`", *LITELLM, "openai/", "litellm", embed=Wire(V1), shortens=True, can_refuse=True,
    ),
    Client(
        "LiteLLM `hosted_vllm/`", *LITELLM, "hosted_vllm/", "litellm",
        embed=Wire(V1), shortens=True, rerank=Wire("/v1/rerank"),
    ),
    Client(
        "LiteLLM `cohere/`", *LITELLM, "cohere/", "litellm",
        embed=Wire("/v2/embed", DOCUMENT), **TYPED, rerank=Wire("/v2/rerank"),
    ),
    Client(
        "LiteLLM `cohere/`, base ends in `/v1`", *LITELLM, "cohere/ at …/v1", "litellm", rerank=Wire("/v1/v2/rerank"),
    ),
    Client("LiteLLM `jina_ai/`", *LITELLM, "jina_ai/", "litellm", embed=Wire(V1), rerank=Wire("/v1/rerank")),
    Client(
        "LiteLLM `voyage/`", *LITELLM, "voyage/", "litellm", embed=Wire(V1), shortens=True, rerank=Wire("/v1/rerank")
    ),
    Client("LiteLLM `infinity/`", *LITELLM, "infinity/", "litellm", embed=Wire("/embeddings"), rerank=Wire("/rerank")),
    Client(
        "LiteLLM `huggingface/`", *LITELLM, "huggingface/", "litellm",
        embed=Wire("/embed"), rerank=Wire("/rerank", {"raw_scores": False}), names_no_model=True,
    ),
    Client(
        "LiteLLM `huggingface/sentence-transformers/…`", *LITELLM, "huggingface/sentence-transformers/", "litellm",
        embed=Wire("/embed"), names_no_model=True, raises="BadRequestError",
        why="under such a name it asks for similarities; use another, which it does not send anyway",
    ),
    Client("LiteLLM `together_ai/`", *LITELLM, "together_ai/", "litellm", rerank=Wire("/v1/rerank")),
    Client("LiteLLM `litellm_proxy/`", *LITELLM, "litellm_proxy/", "litellm", rerank=Wire("/v1/v1/rerank")),
    Client(
        "LangChain `OpenAIEmbeddings`", *LANGCHAIN, "token arrays", "langchain-openai",
        embed=Wire(V1, {**BASE64, "input": token_arrays}), requests=3, query="plain", shortens=True,
    ),
    Client(
        "LangChain `OpenAIEmbeddings(check_embedding_ctx_length=False)`", *LANGCHAIN, "texts", "langchain-openai",
        embed=Wire(V1, {**BASE64, "input": texts}), requests=3, query="plain", shortens=True,
    ),
    Client(
        "LangChain `CohereEmbeddings`", *LANGCHAIN, "CohereEmbeddings", "langchain-cohere",
        embed=Wire("/v1/embed", {"embedding_types": ["float"], "truncate": None}), requests=32, **TYPED,
    ),
    Client(
        "LangChain `CohereRerank`", *LANGCHAIN, "CohereRerank", "langchain-cohere",
        rerank=Wire("/v2/rerank", {"max_tokens_per_doc": None}),
    ),
    Client(
        "LangChain.js `OpenAIEmbeddings`", NODE, "node/langchain.mjs", "OpenAIEmbeddings", "@langchain/openai",
        embed=Wire(V1, BASE64), requests=6, query="plain", shortens=True,
    ),
    Client(
        "LlamaIndex `OpenAIEmbedding`", *LLAMA_INDEX, "OpenAIEmbedding", "llama-index-embeddings-openai",
        embed=Wire(V1, BASE64), requests=30, query="plain", shortens=True,
    ),
    Client(
        "LlamaIndex `OpenAIEmbedding(model=…)`", *LLAMA_INDEX, "OpenAIEmbedding(model=…)",
        "llama-index-embeddings-openai", embed=Wire(V1),
        raises="ValueError",
        why="it knows OpenAI's models alone; say `model_name=`",
    ),
    Client(
        "LlamaIndex `OpenAILikeEmbedding`", *LLAMA_INDEX, "OpenAILikeEmbedding", "llama-index-embeddings-openai-like",
        embed=Wire(V1, BASE64), requests=300, query="plain", shortens=True,
    ),
    Client(
        "LlamaIndex `CohereRerank`", *LLAMA_INDEX, "CohereRerank", "llama-index-postprocessor-cohere-rerank",
        rerank=Wire("/v2/rerank"),
    ),
    Client(
        "LlamaIndex `JinaRerank`", *LLAMA_INDEX, "JinaRerank", "llama-index-postprocessor-jinaai-rerank",
        rerank=Wire("/v1/rerank"),
    ),
    Client(
        "LlamaIndex `TextEmbeddingInference`", *LLAMA_INDEX, "TextEmbeddingInference",
        "llama-index-postprocessor-tei-rerank", rerank=Wire("/rerank"), names_no_model=True,
    ),
    Client(
        "Haystack `OpenAIDocumentEmbedder`", *HAYSTACK, "OpenAIDocumentEmbedder", "haystack-ai",
        embed=Wire(V1, FLOAT), requests=94, shortens=True,
    ),
    Client(
        "Haystack `OpenAITextEmbedder`", *HAYSTACK, "OpenAITextEmbedder", "haystack-ai",
        embed=Wire(V1, FLOAT), requests=0, query="plain", shortens=True,
    ),
    Client(
        "Haystack `CohereRanker`", *HAYSTACK, "CohereRanker", "cohere-haystack",
        rerank=Wire("/v2/rerank", {"max_tokens_per_doc": 4096}),
    ),
    Client("Haystack `JinaRanker`", *HAYSTACK, "JinaRanker", "jina-haystack", rerank=Wire("/v1/rerank")),
    Client(
        "Vercel AI SDK `openai`", NODE, "node/vercel.mjs", "openai", "@ai-sdk/openai",
        embed=Wire(V1, FLOAT), requests=2, shortens=True,
    ),
    Client(
        "Vercel AI SDK `openai-compatible`", NODE, "node/vercel.mjs", "openai-compatible", "@ai-sdk/openai-compatible",
        embed=Wire(V1, FLOAT), requests=2, shortens=True,
    ),
    Client(
        "Vercel AI SDK `cohere`", NODE, "node/vercel.mjs", "cohere", "@ai-sdk/cohere",
        embed=Wire("/v2/embed", DOCUMENT), requests=32, **TYPED, can_refuse=True, rerank=Wire("/v2/rerank"),
    ),
)  # fmt: skip
