"""What each client makes of each error: the class that it raises, and whether it tries again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from client_scripts import NODE, OURS
from client_table import HAYSTACK, LANGCHAIN, LITELLM, LLAMA_INDEX

CASES = (
    "400", "401", "403", "404", "408", "409", "413", "422", "429", "429, in vain", "500", "503", "connection lost",
)  # fmt: skip
"""Statuses. There is a 429 that says when to come back, and one that says not to."""
PASSING = frozenset(("408", "409", "429", "500", "503", "connection lost"))
"""What may be over at the next try."""
NEVER: frozenset[str] = frozenset()

Classes = Mapping[str, str]


@dataclass(frozen=True)
class Erring:
    """Whose errors these are."""

    name: str
    environment: str
    script: str
    part: str
    package: str
    classes: Classes
    """By case; "" where nothing is raised."""
    retries: frozenset[str] = NEVER
    attempts: int = 3
    """Of what is tried again, the first included."""
    at_least: int = 1
    """Attempts of everything else."""
    operation: str = "embed"
    options: Mapping[str, Any] = field(default_factory=dict)

    def requests(self, case: str) -> int:
        """That it sends before it gives up."""
        return self.attempts if case in self.retries else self.at_least


def all_as(kind: str) -> dict[str, str]:
    return dict.fromkeys(CASES, kind)


OPENAI: Classes = {
    "400": "BadRequestError",
    "401": "AuthenticationError",
    "403": "PermissionDeniedError",
    "404": "NotFoundError",
    "408": "APIStatusError",
    "409": "ConflictError",
    "413": "APIStatusError",
    "422": "UnprocessableEntityError",
    "429": "RateLimitError",
    "429, in vain": "RateLimitError",
    "500": "InternalServerError",
    "503": "InternalServerError",
    "connection lost": "APIConnectionError",
}
OPENAI_NODE = {**OPENAI, "408": "APIError", "413": "APIError"}
COHERE: Classes = {
    "400": "BadRequestError",
    "401": "UnauthorizedError",
    "403": "ForbiddenError",
    "404": "NotFoundError",
    "408": "ApiError",
    "409": "ApiError",
    "413": "ApiError",
    "422": "UnprocessableEntityError",
    "429": "TooManyRequestsError",
    "429, in vain": "TooManyRequestsError",
    "500": "InternalServerError",
    "503": "ServiceUnavailableError",
    "connection lost": "RemoteProtocolError",
}
COHERE_NODE = {**COHERE, **dict.fromkeys(("408", "409", "413", "connection lost"), "CohereError")}
COHERES = PASSING - {"connection lost"} | {"429, in vain"}
"""It does not know `x-should-retry`."""
VOYAGE: Classes = {
    **dict.fromkeys(("403", "404", "408", "409", "413"), "APIError"),
    "400": "InvalidRequestError",
    "401": "AuthenticationError",
    "422": "MalformedRequestError",
    "429": "RateLimitError",
    "429, in vain": "RateLimitError",
    "500": "ServerError",
    "503": "ServiceUnavailableError",
    "connection lost": "APIConnectionError",
}
LITELLM_OPENAI: Classes = {
    "400": "BadRequestError",
    "401": "AuthenticationError",
    "403": "APIError",
    "404": "NotFoundError",
    "408": "Timeout",
    "409": "APIError",
    "413": "APIError",
    "422": "BadRequestError",
    "429": "RateLimitError",
    "429, in vain": "RateLimitError",
    "500": "InternalServerError",
    "503": "ServiceUnavailableError",
    "connection lost": "InternalServerError",
}
LITELLM_COHERE = {**LITELLM_OPENAI, "403": "PermissionDeniedError", "409": "BadRequestError", "413": "BadRequestError"}
LITELLM_OTHERS = {**LITELLM_COHERE, "connection lost": "APIConnectionError"}
LITELLM_TEI = {
    **LITELLM_OPENAI,
    **dict.fromkeys(("404", "422", "500"), "APIError"),
    "connection lost": "APIConnectionError",
}

CLIENTS = (
    *(
        Erring(name, environment, "sdks/openai_client.py", "embeddings", "openai", OPENAI, PASSING)
        for name, environment in (("OpenAI (Python)", OURS), ("OpenAI (Python), 2", LITELLM[0]))
    ),
    Erring("OpenAI (Node)", NODE, "node/openai.mjs", "embeddings", "openai", OPENAI_NODE, PASSING),
    *(
        Erring(name, environment, "sdks/cohere_client.py", "ClientV2", "cohere", COHERE, COHERES)
        for name, environment in (("Cohere (Python)", OURS), ("Cohere (Python), 5", LITELLM[0]))
    ),
    Erring(
        "Cohere (Node)", NODE, "node/cohere.mjs", "CohereClientV2", "cohere-ai", COHERE_NODE, COHERES - {"409"},
    ),
    Erring("Voyage (Python)", LITELLM[0], "sdks/voyage_client.py", "Client", "voyageai", VOYAGE),
    Erring(
        "Hugging Face `InferenceClient`", OURS, "sdks/hugging_face.py", "the address", "huggingface_hub",
        {**all_as("HfHubHTTPError"), "400": "BadRequestError", "connection lost": "RemoteProtocolError"},
    ),
    Erring("LiteLLM `openai/`", *LITELLM, "openai/", "litellm", LITELLM_OPENAI, PASSING),
    Erring("LiteLLM `hosted_vllm/`", *LITELLM, "hosted_vllm/", "litellm", LITELLM_OPENAI),
    Erring("LiteLLM `cohere/`", *LITELLM, "cohere/", "litellm", LITELLM_COHERE),
    Erring("LiteLLM `jina_ai/`", *LITELLM, "jina_ai/", "litellm", LITELLM_OTHERS),
    Erring("LiteLLM `voyage/`", *LITELLM, "voyage/", "litellm", LITELLM_OTHERS),
    Erring("LiteLLM `huggingface/`", *LITELLM, "huggingface/", "litellm", LITELLM_TEI),
    Erring("LangChain `OpenAIEmbeddings`", *LANGCHAIN, "token arrays", "langchain-openai", OPENAI, PASSING),
    Erring(
        "LangChain `CohereEmbeddings`", *LANGCHAIN, "CohereEmbeddings", "langchain-cohere", COHERE, COHERES,
        attempts=9, at_least=3,  # it tries everything three times, and so does Cohere's client below it
    ),
    Erring(
        "LangChain `CohereRerank`", *LANGCHAIN, "CohereRerank", "langchain-cohere", COHERE, COHERES, operation="rerank",
    ),
    Erring(
        "LangChain.js `OpenAIEmbeddings(maxRetries: 1)`", NODE, "node/langchain.mjs", "OpenAIEmbeddings",
        "@langchain/openai", OPENAI_NODE, PASSING - {"409"} | {"422"}, attempts=2, options={"maxRetries": 1},
    ),
    Erring(
        "LlamaIndex `OpenAILikeEmbedding(max_retries=1)`", *LLAMA_INDEX, "OpenAILikeEmbedding",
        "llama-index-embeddings-openai-like", OPENAI, PASSING, attempts=2, options={"max_retries": 1},
    ),
    Erring(
        "LlamaIndex `JinaRerank`", *LLAMA_INDEX, "JinaRerank", "llama-index-postprocessor-jinaai-rerank",
        all_as("RuntimeError") | {"connection lost": "ConnectionError"}, operation="rerank",
    ),
    Erring(
        "LlamaIndex `TextEmbeddingInference`", *LLAMA_INDEX, "TextEmbeddingInference",
        "llama-index-postprocessor-tei-rerank",
        all_as("AssertionError") | {"connection lost": "RemoteProtocolError"}, operation="rerank",
    ),
    Erring(
        "Haystack `OpenAIDocumentEmbedder(max_retries=1)`", *HAYSTACK, "OpenAIDocumentEmbedder", "haystack-ai",
        all_as(""), PASSING, attempts=2, options={"max_retries": 1},
    ),
    Erring(
        "Haystack `OpenAIDocumentEmbedder(max_retries=1, raise_on_failure=True)`", *HAYSTACK, "OpenAIDocumentEmbedder",
        "haystack-ai", OPENAI, PASSING, attempts=2, options={"max_retries": 1, "raise_on_failure": True},
    ),
    Erring(
        "Haystack `JinaRanker`", *HAYSTACK, "JinaRanker", "jina-haystack",
        all_as("RuntimeError") | {"connection lost": "RemoteProtocolError"}, operation="rerank",
    ),
    *(
        Erring(
            f"Vercel AI SDK `{part}`", NODE, "node/vercel.mjs", part, f"@ai-sdk/{part}",
            all_as("APICallError") | dict.fromkeys(PASSING | {"429, in vain"}, "RetryError"),
            PASSING | {"429, in vain"},
        )
        for part in ("openai", "cohere")
    ),
)  # fmt: skip
