"""Ask a Shoal server from Python: the one place that batches, waits, tries again and reads replies.

Everything that a database or framework needs (`shoal.chroma`, `shoal.qdrant`, `shoal.langchain`, …) goes through here.
It needs httpx, and nothing of the server's.

    from shoal.client import Shoal

    with Shoal("http://127.0.0.1:8080") as shoal:  # the key is in the variable SHOAL_API_KEY
        vectors = shoal.embed(["Herring swim in shoals."], model="all-minilm-l6-v2", input_type="document").dense
        best = shoal.rerank("Who swims?", ["herring", "hens"], model="all-minilm-l6-v2").results[0]

`AsyncShoal` is the same with `await`.
"""

from shoal.client.asynchronous import AsyncShoal
from shoal.client.blocking import Shoal
from shoal.client.errors import (
    AuthenticationFailed,
    BadReply,
    BadRequest,
    InputTooLong,
    KeyMissing,
    NotFound,
    PermissionDenied,
    RateLimited,
    Refused,
    ServerFailed,
    ShoalError,
    TimedOut,
    Unreachable,
)
from shoal.client.results import (
    Classifications,
    Embeddings,
    Entity,
    Extractions,
    Label,
    Model,
    Ranked,
    Ranking,
    SparseVector,
)
from shoal.client.settings import API_KEY_ENV, DEFAULT_URL, ClientSettings

__all__ = [
    "API_KEY_ENV",
    "DEFAULT_URL",
    "AsyncShoal",
    "AuthenticationFailed",
    "BadReply",
    "BadRequest",
    "Classifications",
    "ClientSettings",
    "Embeddings",
    "Entity",
    "Extractions",
    "InputTooLong",
    "KeyMissing",
    "Label",
    "Model",
    "NotFound",
    "PermissionDenied",
    "Ranked",
    "Ranking",
    "RateLimited",
    "Refused",
    "ServerFailed",
    "Shoal",
    "ShoalError",
    "SparseVector",
    "TimedOut",
    "Unreachable",
]
