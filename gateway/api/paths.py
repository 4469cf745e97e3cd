"""Every name that a wire with a price answers to: an alias is one line here. Its first name is the one that is counted.

Most aliases come of clients that put a version of their own behind a base URL that has one, or that were given none.
`{model}` and `{owner}/{model}` stand for the model, which the body then need not name.
"""

from typing import Final

EMBEDDINGS: Final = (
    "/v1/embeddings",
    "/embeddings",  # a base URL without a version: OpenAI's SDKs, LiteLLM's `infinity/`
    "/v1/v1/embeddings",  # Weaviate, with a version in its base URL
    "/infinity/embeddings",  # beside the ranking of the same base URL
    "/openai/v1/embeddings",  # Azure, and by its deployments
    "/openai/deployments/{model:str}/embeddings",
    "/openai/deployments/{owner:str}/{model:str}/embeddings",
    "/v1/engines/{model:str}/embeddings",  # OpenAI's first SDKs
    "/v1/engines/{owner:str}/{model:str}/embeddings",
)
RERANK: Final = (
    "/v1/rerank",
    "/v2/rerank",  # Cohere
    "/rerank",  # text-embeddings-inference, vLLM
    "/v1/v1/rerank",  # LiteLLM's `litellm_proxy/`
    "/v1/v2/rerank",  # LiteLLM's `cohere/`, with a version in its base URL
    "/v2/v2/rerank",
)
INFINITY_RERANK: Final = ("/infinity/rerank",)
"""LiteLLM asks as of vLLM here, and reads another answer: nothing but the path tells them apart."""
COHERE_1: Final = ("/v1/embed", "/v1/v1/embed")
COHERE_2: Final = ("/v2/embed", "/v1/v2/embed", "/v2/v2/embed")
TEI_DENSE: Final = ("/embed",)
TEI_SPARSE: Final = ("/embed_sparse",)
TEI_EVERY_TOKEN: Final = ("/embed_all",)
TEI_TOKENS: Final = ("/tokenize",)
TEI_PREDICT: Final = ("/predict",)
TEI_INFO: Final = ("/info",)
BARE: Final = ("/",)
"""Whoever was given nothing but an address: bodies tell whose they are."""
CHAT: Final = ("/v1/chat/completions", "/chat/completions", "/v1/v1/chat/completions")
COMPLETIONS: Final = ("/v1/completions", "/completions", "/v1/v1/completions")
CLASSIFY: Final = ("/v1/classify", "/classify", "/v1/v1/classify")
EXTRACT: Final = ("/v1/extract", "/extract")

TEI: Final = frozenset((*TEI_DENSE, *TEI_SPARSE, *TEI_EVERY_TOKEN, *TEI_TOKENS, *TEI_PREDICT, *TEI_INFO, *BARE))
"""Where errors are text-embeddings-inference's."""
