"""The wire between gateway and engine node: msgpack over HTTP, vectors as raw little-endian float32 bytes.

Free of torch, so that the gateway can import it. A request carries the model's whole reference: a node holds no
register of its own and serves whatever the gateway's register says.

| call | request | reply |
|---|---|---|
| `POST /embed` | `EmbedRequest` | `EmbedReply` |
| `POST /rerank` | `RerankRequest` | `RerankReply` |
| `POST /classify` | `ClassifyRequest` | `ClassifyReply` |
| `POST /extract` | `ExtractRequest` | `ExtractReply` |
| `POST /tokenize` | `TokenizeRequest` | `TokenizeReply` |
| `POST /load`, `POST /unload` | `ModelRequest` | `NodeStatus` |
| `POST /pin`, `POST /unpin` | `ModelRequest` | `NodeStatus` |
| `GET /status` | | `NodeStatus` |

Every error is an `ErrorReply` with the HTTP status that fits. All calls carry `authorization: Bearer <shared secret>`.

**Versions.** During a rollout gateways and nodes of two neighbouring versions of this protocol serve each other, either
of them being the newer one; two versions apart they do not (`why_apart`). So one step of `PROTOCOL_VERSION` may

- add a call, and a field that has a default: whoever does not know the field ignores it, whoever misses it reads the
  default, and the default means what was the case before there was the field;
- add a word to those that a field may have, provided that nobody says it to a peer of the version before.

It removes and renames nothing, and changes no meaning. What has to go is first left unused for a whole step.
"""

from typing import Literal

import msgspec

PROTOCOL_VERSION = 1
OLDEST_PROTOCOL = 0
"""The oldest version whose gateways and nodes this one serves."""
MEDIA_TYPE = "application/msgpack"

Lane = Literal["interactive", "bulk"]
"""Who waits: somebody at a screen, or a job that only wants to be done some day."""

Tier = Literal["device", "host", "loading", "failed"]
"""Where a model is. One that is in neither memory is not listed."""

InputType = Literal["query", "document"]
"""What a text is to a search."""

OutputType = Literal["float32", "int8", "uint8", "binary", "ubinary"]
"""Of the numbers of dense vectors. `int8` and `uint8` are one number each, `binary` and `ubinary` one bit each."""

Aggregation = Literal["none", "simple", "first", "average", "max"]
"""Of labelled tokens: each by itself; neighbours of one label together; and before that the tokens of a word by its
first, by their mean, or by their surest (transformers' `aggregation_strategy`)."""


class ModelRef(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a node must know to load and serve one model of the register."""

    id: str
    source: str
    """A hub id, or the path of a model folder on the node."""
    revision: str | None = None
    dtype: Literal["float32", "bfloat16", "float16"] | None = None
    """None lets the node choose: float32 on the CPU, bfloat16 on CUDA."""
    max_tokens: int | None = None
    """Cuts inputs shorter than the model's own limit; never longer."""
    pinned: bool = False
    adapter: str | None = None
    """A low-rank adapter (LoRA) that changes the model for this request: a hub id, with `@revision` where it matters,
    or the path of an adapter's folder on the node. All else is the base model's, which requests with other adapters,
    or with none, share in memory and in batches."""


class Timings(msgspec.Struct, frozen=True):
    """Where a request spent its time on the node, in seconds."""

    load: float = 0.0
    tokenize: float = 0.0
    queue: float = 0.0
    inference: float = 0.0


class EmbedRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """Embed every input with one model."""

    model: ModelRef
    inputs: list[str]
    dimensions: int | None = None
    """Matryoshka width: slice, then renormalise. An error where the model was not trained for it."""
    truncate: bool = True
    """False: an input longer than the model's limit is the error `input_too_long` instead of being cut."""
    outputs: tuple[str, ...] = ("dense",)
    """Of `dense`, `sparse` and `multi`; what the model does not give is the error `task_unsupported`."""
    input_type: InputType | None = None
    """Chooses among the model's own prompts and, where it treats them differently, how it reads the text."""
    prompt_name: str | None = None
    """One of the model's own prompts; it goes before `task` and `input_type`."""
    task: str | None = None
    """One of the tasks that the model was trained for, such as `retrieval.query`; it goes before `input_type`."""
    output_dtype: OutputType = "float32"
    flow: str = ""
    """An opaque fairness key: flows share the device by weight, whatever each of them sends."""
    weight: float = 1.0
    """The flow's share beside those of others; more than 0."""
    lane: Lane = "interactive"
    patience: float | None = None
    """Seconds for which the caller still waits. What has not begun by then is the error `deadline_passed`."""


class SparseVector(msgspec.Struct, frozen=True):
    """The dimensions of the vocabulary that are not 0, ascending."""

    indices: bytes
    """Little-endian int32."""
    values: bytes
    """Little-endian float32, one for each index."""


class EmbedReply(msgspec.Struct, frozen=True):
    """What was asked for of each input, in order."""

    dimensions: int
    vectors: bytes
    """`len(inputs) * dimensions` little-endian numbers of `output_dtype`, row after row; of the binary types one bit
    a dimension, the first the highest of its byte. Empty where `dense` was not asked for."""
    token_counts: list[int]
    """Tokens processed per input, special tokens included."""
    truncated: list[int]
    """Indices of the inputs that were cut to the model's limit."""
    timings: Timings
    sparse: list[SparseVector] | None = None
    multi: list[bytes] | None = None
    """Of each input its rows of `multi_dimensions` little-endian float32, one for each token that counts."""
    multi_dimensions: int | None = None
    scale: float | None = None
    """Of int8 and uint8: a number of the vector is (stored - offset) * scale."""
    offset: int = 0


class RerankRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """Score every document against the query."""

    model: ModelRef
    query: str
    documents: list[str]
    instruction: str | None = None
    """What makes a document relevant, for models that read such a text; an error with others. None: their own."""
    truncate: bool = True
    flow: str = ""
    weight: float = 1.0
    lane: Lane = "interactive"
    patience: float | None = None


class RerankReply(msgspec.Struct, frozen=True):
    """One score per document, in the order of the documents; higher is more relevant."""

    scores: list[float]
    tokens: int
    """Tokens processed, those of the query included."""
    truncated: list[int]
    """Indices of the documents that were cut; -1 stands for the query."""
    timings: Timings


class ClassifyRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """Say how well labels fit every input: the model's own, or those of the request."""

    model: ModelRef
    inputs: list[str | tuple[str, str]]
    """Texts, or pairs that the model reads as one. With `labels` texts only."""
    labels: list[str] | None = None
    """None: the model's own. Else any words, for models that read them."""
    multi_label: bool = False
    """With `labels`: each label is right or wrong by itself. Otherwise their scores sum to 1."""
    hypothesis_template: str | None = None
    """With `labels`, for models of inference: the sentence that says that a label, in place of `{}`, is right."""
    threshold: float | None = None
    """Labels below it are left out."""
    top_k: int | None = None
    """So many best labels; None: all."""
    raw_scores: bool = False
    """Logits, without softmax or sigmoid."""
    truncate: bool = True
    flow: str = ""
    weight: float = 1.0
    lane: Lane = "interactive"
    patience: float | None = None


class LabelScore(msgspec.Struct, frozen=True, array_like=True):
    """How well a label fits."""

    label: str
    score: float


class ClassifyReply(msgspec.Struct, frozen=True):
    """Of each input its labels, the best first."""

    labels: list[list[LabelScore]]
    token_counts: list[int]
    """Tokens processed for each input, those of labels included."""
    truncated: list[int]
    """Indices of the inputs that were cut."""
    timings: Timings


class ExtractRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """Find the spans of every input that labels fit: the model's own, or those of the request."""

    model: ModelRef
    inputs: list[str]
    labels: list[str] | None = None
    """Any words, for models that read them; with others some of their own. None: all of the model's own."""
    threshold: float | None = None
    """Spans below it are left out; None: the model's own threshold."""
    thresholds: dict[str, float] | None = None
    """By label, where it is not the others'; for models that read labels."""
    flat: bool = True
    """No span lies in another; where two overlap the better one stays."""
    multi_label: bool = False
    """A span may have several labels."""
    aggregation: Aggregation = "simple"
    """For models that label tokens: how tokens become spans."""
    truncate: bool = True
    flow: str = ""
    weight: float = 1.0
    lane: Lane = "interactive"
    patience: float | None = None


class Entity(msgspec.Struct, frozen=True, array_like=True):
    """A span that a label fits: `text[start:end]` of the input, in characters."""

    start: int
    end: int
    text: str
    label: str
    score: float


class ExtractReply(msgspec.Struct, frozen=True):
    """Of each input its spans, in order of their place."""

    entities: list[list[Entity]]
    token_counts: list[int]
    """Tokens processed for each input, those of labels included."""
    truncated: list[int]
    """Indices of the inputs that were cut."""
    timings: Timings


class TokenizeRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """Say what the tokens of every input are, uncut."""

    model: ModelRef
    inputs: list[str]
    special_tokens: bool = True
    """Whether those that the model puts around a text are among them."""
    flow: str = ""
    weight: float = 1.0
    lane: Lane = "interactive"
    patience: float | None = None


class Token(msgspec.Struct, frozen=True, array_like=True):
    """One token. A special one stands nowhere in the text; its `text` is its name."""

    id: int
    text: str
    special: bool
    start: int | None = None
    stop: int | None = None
    """`text[start:stop]` of the input, in characters."""


class TokenizeReply(msgspec.Struct, frozen=True):
    """Of each input its tokens, in order."""

    tokens: list[list[Token]]
    timings: Timings


ModelWork = EmbedRequest | RerankRequest | ClassifyRequest | ExtractRequest | TokenizeRequest
"""Requests that need a model in memory."""


class ModelRequest(msgspec.Struct, frozen=True):
    """Load, unload, pin or unpin one model.

    To pin is to load the model if need be and to keep it from eviction and idle time-out until it is unpinned; it is
    refused with `model_too_large` where the pinned models would not fit together.
    """

    model: ModelRef


class LoadProgress(msgspec.Struct, frozen=True):
    """How far a load is."""

    phase: str
    """`look`: finding the model and reading what it is; `fetch`: from the hub; `wait`: for room on the device; `read`:
    its weights; `check`: trying it out; `restore`: from host memory. Later versions may know others."""
    done: int
    """Bytes of this phase."""
    total: int
    """0: the phase is not measured in bytes. Of `fetch` the files that were begun, so that it may grow."""
    seconds: float
    """Since the load began."""


class ResidentModel(msgspec.Struct, frozen=True):
    """A model in a node's memory."""

    id: str
    revision: str | None
    state: Literal["loading", "resident", "failed"]
    bytes: int
    """Of device memory that it takes, or that its load was given."""
    in_use: int
    pinned: bool
    idle_seconds: float
    dimensions: int | None
    max_tokens: int | None
    failure: str | None = None
    tier: Tier = "device"
    host_bytes: int = 0
    """Of host memory that a copy takes from which it comes back without its files."""
    adapter: str | None = None
    """The entry is not the model of this id itself but one of its adapters."""
    native: bool = True
    """False: it runs, padded, in the library transformers."""
    progress: LoadProgress | None = None
    """Of a model that is loading; None: it is not, or the node does not say."""
    failure_code: str | None = None
    """Which `ErrorReply` the failure is; None: there is none, or the node does not say."""


class NodeStatus(msgspec.Struct, frozen=True):
    """What a gateway must know to route to a node."""

    protocol: int
    version: str
    device: str
    ready: bool
    """False while the node drains."""
    memory_budget: int
    """Bytes that models may take together."""
    memory_used: int
    waiting_requests: int
    waiting_tokens: int
    tokens_per_second: float
    """Measured over the last batches; 0 before the first."""
    models: list[ResidentModel]
    host_budget: int = 0
    """Bytes of host memory that models may take when they leave the device; 0: they leave memory altogether."""
    host_used: int = 0
    bulk_waiting_tokens: int = 0
    """Those of `waiting_tokens` that wait in the bulk lane."""
    oldest_protocol: int | None = None
    """The oldest version whose gateways the node serves; None: it does not say, and serves the one before its own."""
    instance: str = ""
    """One of a kind for each start of a node; by it an address is known to be another's too. Empty: not said."""


def why_apart(status: NodeStatus, own: int = PROTOCOL_VERSION) -> str | None:
    """Why a gateway that speaks version `own` can not work with this node; None where it can."""
    oldest = status.protocol - 1 if status.oldest_protocol is None else status.oldest_protocol
    if oldest <= own <= status.protocol + 1:
        return None
    behind = "the node" if status.protocol < own else "the gateway"
    return (
        f"speaks version {status.protocol} of the protocol, the gateway version {own}, which is too far apart: "
        f"update {behind}"
    )


class ErrorReply(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a call failed.

    Codes: `bad_request`, `unauthorized`, `not_found`, `dimensions_unsupported`, `input_too_long`, `task_unsupported`,
    `model_not_found`, `hub_unreachable`, `disk_full`, `model_invalid`, `model_too_large`, `model_loading`,
    `load_timed_out`, `queue_full`, `deadline_passed`, `draining`, `out_of_memory`, `inference_failed`.
    """

    code: str
    message: str
    retry_after: float | None = None
    """Seconds; None where waiting does not help."""
    index: int | None = None
    """The input that is at fault."""
    limit: int | None = None
    """The limit that was passed: tokens for `input_too_long`, the width for `dimensions_unsupported`."""
    actual: int | None = None
