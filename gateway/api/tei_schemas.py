"""What text-embeddings-inference takes and gives, and Chroma's cloud of sparse vectors."""

from typing import Literal

import msgspec

from gateway.api.schemas import Positive, SparseEmbedding


class TeiBody(msgspec.Struct):
    """`POST /embed`, `POST /embed_sparse` and `POST /embed_all`."""

    inputs: str | list[str] | None = None
    texts: list[str] | None = None
    """Chroma's spelling of `inputs`; the reply of `/embed_sparse` is then Chroma's."""
    model: str | None = None
    """TEI serves one model and names none; absent: the gateway's default."""
    truncate: bool | None = None
    truncation_direction: Literal["Left", "left", "Right", "right"] | None = None
    """Inputs that are too long are cut at their right end; Left is not known here."""
    prompt_name: str | None = None
    normalize: bool | None = None
    """False: vectors as the model gives them, which may be of length 1 by themselves."""
    dimensions: Positive | None = None


class TeiSparseValue(msgspec.Struct, frozen=True):
    """One dimension that is not 0."""

    index: int
    value: float


class ChromaSparse(msgspec.Struct, frozen=True):
    """What Chroma's client reads."""

    embeddings: list[SparseEmbedding]
