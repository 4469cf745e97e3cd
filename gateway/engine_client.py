"""The gateway's side of the engine protocol: typed calls to one node, and its errors turned into the gateway's own.

The only place that knows `engine.protocol`; re-exports the types of its messages.
"""

from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol, TypeVar

import httpx
import msgspec

from engine.protocol import (
    MEDIA_TYPE,
    PROTOCOL_VERSION,
    Aggregation,
    ClassifyReply,
    ClassifyRequest,
    EmbedReply,
    EmbedRequest,
    Entity,
    ErrorReply,
    ExtractReply,
    ExtractRequest,
    InputType,
    LabelScore,
    Lane,
    LoadProgress,
    ModelRef,
    ModelRequest,
    ModelWork,
    NodeStatus,
    OutputType,
    RerankReply,
    RerankRequest,
    ResidentModel,
    SparseVector,
    Tier,
    Timings,
    Token,
    TokenizeReply,
    TokenizeRequest,
    why_apart,
)
from gateway import errand
from gateway.errors import (
    EngineFailed,
    EngineGone,
    EngineOverloaded,
    GatewayError,
    InputTooLong,
    ModelLoading,
    ModelUnusable,
    RequestError,
    Unavailable,
)
from gateway.transport import AsyncioTransport, Origin, Patience

__all__ = [
    "PROTOCOL_VERSION",
    "Aggregation",
    "ClassifyReply",
    "ClassifyRequest",
    "EmbedReply",
    "EmbedRequest",
    "EngineClient",
    "Entity",
    "ExtractReply",
    "ExtractRequest",
    "InputType",
    "LabelScore",
    "Lane",
    "LoadProgress",
    "ModelRef",
    "NodeStatus",
    "OutputType",
    "RerankReply",
    "RerankRequest",
    "ResidentModel",
    "SparseVector",
    "Tier",
    "Timings",
    "Token",
    "TokenizeReply",
    "TokenizeRequest",
    "gateway_error",
    "model_ref",
    "why_apart",
]


class Lineage(Protocol):
    """What a registered model has of another one."""

    @property
    def base(self) -> str | None: ...
    @property
    def adapter(self) -> str | None: ...


class RegisteredModel(Protocol):
    """A model of the register, in whichever form it is at hand."""

    @property
    def id(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def revision(self) -> str | None: ...
    @property
    def dtype(self) -> str | None: ...
    @property
    def max_tokens(self) -> int | None: ...
    @property
    def pinned(self) -> bool: ...
    @property
    def facts(self) -> Lineage: ...


CONNECT_PATIENCE = 2.0
"""Seconds; nodes are near."""

NODES_SHARE = 0.95
"""Of the time left, for the node: so its last word comes while somebody listens."""

Reply = TypeVar("Reply")


class Address(NamedTuple):
    """Where calls of one kind to one node go."""

    origin: Origin
    head: bytes
    """Of every request, up to what is the request's own."""


class EngineClient:
    """Calls engine nodes by their base URL, such as `http://127.0.0.1:9000`.

    `certified`: whose certificate they show, where the URLs have mere addresses.
    """

    def __init__(self, transport: AsyncioTransport, secret: str = "", *, certified: str | None = None) -> None:
        self._transport = transport
        self._secret = secret
        self._certified = certified
        self._addresses: dict[tuple[str, str], Address] = {}
        self._encode = msgspec.msgpack.Encoder().encode
        self._embed_reply = msgspec.msgpack.Decoder(EmbedReply).decode
        self._rerank_reply = msgspec.msgpack.Decoder(RerankReply).decode
        self._classify_reply = msgspec.msgpack.Decoder(ClassifyReply).decode
        self._extract_reply = msgspec.msgpack.Decoder(ExtractReply).decode
        self._tokenize_reply = msgspec.msgpack.Decoder(TokenizeReply).decode
        self._status = msgspec.msgpack.Decoder(NodeStatus).decode

    async def embed(self, node: str, request: EmbedRequest, patience: float) -> EmbedReply:
        """Embed; `patience` in seconds bounds the node's silence, and tells the node when not to begin any more."""
        return await self._work(node + "/embed", request, patience, self._embed_reply)

    async def rerank(self, node: str, request: RerankRequest, patience: float) -> RerankReply:
        """Score documents against a query; `patience` as for `embed`."""
        return await self._work(node + "/rerank", request, patience, self._rerank_reply)

    async def classify(self, node: str, request: ClassifyRequest, patience: float) -> ClassifyReply:
        """Say how well labels fit; `patience` as for `embed`."""
        return await self._work(node + "/classify", request, patience, self._classify_reply)

    async def extract(self, node: str, request: ExtractRequest, patience: float) -> ExtractReply:
        """Find the spans that labels fit; `patience` as for `embed`."""
        return await self._work(node + "/extract", request, patience, self._extract_reply)

    async def tokenize(self, node: str, request: TokenizeRequest, patience: float) -> TokenizeReply:
        """Say what the tokens of texts are; `patience` as for `embed`."""
        return await self._work(node + "/tokenize", request, patience, self._tokenize_reply)

    async def load(self, node: str, model: ModelRef, patience: float) -> NodeStatus:
        """Bring a model into the node's memory; answers when it is there."""
        return await self._call("POST", node + "/load", ModelRequest(model), patience, self._status)

    async def unload(self, node: str, model: ModelRef, patience: float) -> NodeStatus:
        """Take a model out of the node's memory."""
        return await self._call("POST", node + "/unload", ModelRequest(model), patience, self._status)

    async def pin(self, node: str, model: ModelRef, patience: float) -> NodeStatus:
        """Keep a model in the node's memory, loading it if need be; answers when it is there."""
        return await self._call("POST", node + "/pin", ModelRequest(model), patience, self._status)

    async def unpin(self, node: str, model: ModelRef, patience: float) -> NodeStatus:
        """Let the node evict a model again."""
        return await self._call("POST", node + "/unpin", ModelRequest(model), patience, self._status)

    async def status(self, node: str, patience: float) -> NodeStatus:
        """What the node holds and how busy it is."""
        return await self._call("GET", node + "/status", None, patience, self._status)

    def for_service(self, name: str | None) -> "EngineClient":
        """The same, over the same connections, for nodes that show the certificate of this name."""
        return self if name is None else EngineClient(self._transport, self._secret, certified=name)

    async def close(self) -> None:
        """Close the connections to all nodes."""
        await self._transport.aclose()

    def _work(self, url: str, work: ModelWork, patience: float, decode: Callable[[bytes], Reply]) -> Awaitable[Reply]:
        work = msgspec.structs.replace(work, patience=NODES_SHARE * patience)
        return self._call("POST", url, work, patience, decode)

    async def _call(
        self, method: str, url: str, body: msgspec.Struct | None, patience: float, decode: Callable[[bytes], Reply]
    ) -> Reply:
        content = b"" if body is None else self._encode(body)
        address = self._addresses.get((method, url)) or self._address(method, url)
        own = b"".join([b"%b: %b\r\n" % header for header in errand.headers()])
        request = b"%b%bcontent-length: %d\r\n\r\n%b" % (address.head, own, len(content), content)
        limits = Patience(CONNECT_PATIENCE, patience, patience)
        try:
            reply = await self._transport.exchange(address.origin, request, limits)
        except (httpx.ReadTimeout, httpx.PoolTimeout) as error:
            raise Unavailable(
                "The engine took too long, please try again later.", code="engine_timeout", retry_after=1.0
            ) from error
        except httpx.TransportError as error:
            raise EngineGone(
                "The engine node broke off; please try again.", retry_after=1.0, reason=str(error) or "It broke off."
            ) from error
        try:
            if reply.status == 200:
                return decode(reply.body)
            raise gateway_error(msgspec.msgpack.decode(reply.body, type=ErrorReply))
        except msgspec.DecodeError as error:
            raise EngineFailed(f"{url} answered what is not the protocol: {error}") from error

    def _address(self, method: str, text: str) -> Address:
        """Made once: to make it for each request costs more than to send it."""
        url = httpx.URL(text)
        lines = (
            b"%b %b HTTP/1.1" % (method.encode("ascii"), url.raw_path),
            b"host: %b" % url.netloc,
            b"content-type: %b" % MEDIA_TYPE.encode("ascii"),
            b"authorization: Bearer %b" % self._secret.encode("ascii"),
        )
        address = Address(Origin.of(url, self._certified), b"".join([line + b"\r\n" for line in lines]))
        self._addresses[method, text] = address
        return address


def gateway_error(reply: ErrorReply) -> GatewayError:
    """What a node's error means to the caller of the gateway. Unknown codes are failures of the node."""
    build = _BY_CODE.get(reply.code)
    return build(reply) if build is not None else EngineFailed(f"{reply.code}: {reply.message}")


def _dimensions_unsupported(reply: ErrorReply) -> GatewayError:
    message = "This model does not support specifying dimensions."
    if reply.limit is not None and reply.actual is not None and reply.actual > reply.limit:
        message = f"Invalid value for 'dimensions' = {reply.actual}. Must be less than or equal to {reply.limit}."
    return RequestError(message, param="dimensions")


def _input_too_long(reply: ErrorReply) -> GatewayError:
    return InputTooLong(index=reply.index or 0, limit=reply.limit or 0, actual=reply.actual or 0)


def _overloaded(reply: ErrorReply) -> GatewayError:
    return EngineOverloaded(
        "The engine is currently overloaded, please try again later.",
        code="engine_overloaded",
        retry_after=reply.retry_after or 1.0,
    )


def _loading(reply: ErrorReply) -> GatewayError:
    return ModelLoading(
        "The model is being loaded, please try again later.", code="model_loading", retry_after=reply.retry_after or 2.0
    )


def _unreachable(reply: ErrorReply) -> GatewayError:
    return Unavailable(reply.message, code="model_unreachable", retry_after=reply.retry_after or 10.0)


def _too_late(reply: ErrorReply) -> GatewayError:
    return Unavailable(
        "The engine could not begin in time, please try again later.",
        code="deadline_passed",
        retry_after=reply.retry_after or 1.0,
    )


_BY_CODE: dict[str, Callable[[ErrorReply], GatewayError]] = {
    "bad_request": lambda reply: RequestError(reply.message),
    "dimensions_unsupported": _dimensions_unsupported,
    "input_too_long": _input_too_long,
    "task_unsupported": lambda reply: RequestError(reply.message, param="model", code="task_unsupported"),
    "model_not_found": lambda reply: ModelUnusable(reply.message),
    "model_invalid": lambda reply: ModelUnusable(reply.message),
    "model_too_large": lambda reply: ModelUnusable(reply.message),
    "model_loading": _loading,
    "load_timed_out": _loading,
    "hub_unreachable": _unreachable,
    "disk_full": _unreachable,
    "deadline_passed": _too_late,
    "queue_full": _overloaded,
    "out_of_memory": _overloaded,
    "draining": lambda reply: EngineGone(reply.message, code="draining", retry_after=reply.retry_after or 1.0),
}


def model_ref(model: RegisteredModel) -> ModelRef:
    """The model as nodes must know it. Its dtype was checked when it was registered.

    One that is an adapter on another is that other, with the adapter; whether that is pinned is not this one's to say.
    """
    base, adapter = model.facts.base, model.facts.adapter
    if base is not None and adapter is not None:
        return ModelRef(base, model.source, model.revision, model.dtype, model.max_tokens, adapter=adapter)  # type: ignore[arg-type]
    return ModelRef(model.id, model.source, model.revision, model.dtype, model.max_tokens, model.pinned)  # type: ignore[arg-type]
