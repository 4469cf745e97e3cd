"""What text-embeddings-inference takes and gives, and Chroma's cloud of sparse vectors."""

from typing import Literal

import msgspec

from gateway.api.schemas import Positive, SparseEmbedding


class TeiBody(msgspec.Struct):
    """`POST /embed`, `POST /embed_sparse` and `POST /embed_all`."""

    inputs: str | list[str] | None = None
    texts: list[str] | None = None
    """Chroma's spelling of `inputs`; the replies of `/embed` and `/embed_sparse` are then Chroma's."""
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


class ChromaDense(msgspec.Struct, frozen=True):
    """The same of dense vectors."""

    embeddings: list[list[float]]


class TeiTokensBody(msgspec.Struct):
    """`POST /tokenize`."""

    inputs: str | list[str] | None = None
    model: str | None = None
    add_special_tokens: bool | None = None
    """Absent: true."""


class TeiToken(msgspec.Struct, frozen=True):
    """One token; a special one stands nowhere in the text."""

    id: int
    text: str
    special: bool
    start: int | None
    stop: int | None
    """In characters."""


class TeiPredictBody(msgspec.Struct):
    """`POST /predict`."""

    inputs: str | list[str | list[str]] | None = None
    """A text, a pair of texts that the model reads as one, or a list of lists, each of which is one of the two."""
    model: str | None = None
    truncate: bool | None = None
    raw_scores: bool | None = None


class TeiPrediction(msgspec.Struct, frozen=True):
    """How well a label of the model's own fits."""

    score: float
    label: str


class TeiInfo(msgspec.Struct, frozen=True):
    """`GET /info`: what is known of a model, and what this gateway takes."""

    model_id: str
    model_sha: str | None
    model_dtype: str | None
    model_type: dict[str, dict[str, dict[str, str | int]]]
    """`embedding`, `reranker` or `classifier`, with the labels of one that has some."""
    max_input_length: int | None
    max_client_batch_size: int
    auto_truncate: bool
    version: str
