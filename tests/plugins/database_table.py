"""The databases and frameworks that Shoal has classes for: rows of the page of what works."""

from collections.abc import Mapping

ROWS: Mapping[str, tuple[str, str]] = {
    "Chroma (in process)": ("databases", "chromadb"),
    "Chroma (server)": ("databases", "chromadb"),
    "Haystack": ("frameworks", "haystack-ai"),
    "LanceDB": ("databases", "lancedb"),
    "LangChain": ("litellm_langchain", "langchain-core"),
    "LlamaIndex": ("frameworks", "llama-index-core"),
    "Milvus (`milvus-lite`)": ("databases", "milvus-lite"),
    "pgvector": ("databases", "pgvector"),
    "Qdrant": ("databases", "qdrant-client"),
    "Weaviate (its modules' requests)": ("databases", "weaviate-client"),
}
"""The environment of tests/clients that has it, and the package there whose version it is."""
