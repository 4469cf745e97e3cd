"""One address that serves models, as this gateway knows it, and what whoever calls it must be able to do."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol, TypeVar

from gateway.engine_client import (
    ClassifyReply,
    ClassifyRequest,
    EmbedReply,
    EmbedRequest,
    ExtractReply,
    ExtractRequest,
    NodeStatus,
    RerankReply,
    RerankRequest,
    Tier,
    TokenizeReply,
    TokenizeRequest,
)
from policies.breaker import Breaker
from policies.fleet import NodeFacts
from policies.health import Health

Work = TypeVar("Work", EmbedRequest, RerankRequest, ClassifyRequest, ExtractRequest, TokenizeRequest)
Reply = TypeVar("Reply", EmbedReply, RerankReply, ClassifyReply, ExtractReply, TokenizeReply)


class NodeClient(Protocol):
    """Calls one kind of node by its address: engine nodes, or upstream servers that speak another wire.

    Every call has so many seconds. Raises EngineGone where the node broke off and another one may serve the same,
    other errors of gateway.errors where it answered one.
    """

    async def embed(self, address: str, request: EmbedRequest, patience: float, /) -> EmbedReply:
        """One vector per input, and whatever else was asked for."""

    async def rerank(self, address: str, request: RerankRequest, patience: float, /) -> RerankReply:
        """One score per document."""

    async def classify(self, address: str, request: ClassifyRequest, patience: float, /) -> ClassifyReply:
        """How well labels fit."""

    async def extract(self, address: str, request: ExtractRequest, patience: float, /) -> ExtractReply:
        """The spans that labels fit."""

    async def tokenize(self, address: str, request: TokenizeRequest, patience: float, /) -> TokenizeReply:
        """The tokens of each input."""

    async def status(self, address: str, patience: float, /) -> NodeStatus:
        """What the node holds and how busy it is."""


Ask = Callable[[str, Work, float], Awaitable[Reply]]
Operation = Callable[[NodeClient], Ask[Work, Reply]]
"""One of the calls of whichever client."""


def to_embed(client: NodeClient) -> Ask[EmbedRequest, EmbedReply]:
    """An operation."""
    return client.embed


def to_rerank(client: NodeClient) -> Ask[RerankRequest, RerankReply]:
    """An operation."""
    return client.rerank


def to_classify(client: NodeClient) -> Ask[ClassifyRequest, ClassifyReply]:
    """An operation."""
    return client.classify


def to_extract(client: NodeClient) -> Ask[ExtractRequest, ExtractReply]:
    """An operation."""
    return client.extract


def to_tokenize(client: NodeClient) -> Ask[TokenizeRequest, TokenizeReply]:
    """An operation."""
    return client.tokenize


class Member(NamedTuple):
    """A node that a pool shall have."""

    name: str
    """One of a kind in the pool, and shown to operators."""
    url: str
    """What its client is called with."""
    client: NodeClient


State = Literal["healthy", "away", "open"]
"""A node that is away does not answer, or says that it takes nothing; one whose circuit is open answers, and failed too
often."""


@dataclass(slots=True, eq=False)
class Node:
    """One node as this gateway knows it."""

    url: str
    pool: str
    client: NodeClient
    name: str = ""
    """One of a kind in its pool; for engine nodes their URL."""
    status: NodeStatus | None = None
    """As last heard; None before the first answer."""
    heard: float = 0.0
    """When that was, on the loop's clock."""
    healthy: bool = False
    """Whether it takes requests."""
    failure: str | None = "not asked yet"
    """Why it is not healthy."""
    refuses: bool = False
    """Whether it answered the last look with that it does not accept this gateway."""
    unanswered: int = 0
    """Looks in a row that it took too long to answer."""
    calls: set[asyncio.Timeout] = field(default_factory=set)
    """One for each request of this gateway that is there now."""
    look: asyncio.Event = field(default_factory=asyncio.Event)
    """Set to have the status asked for at once."""
    health: Health = field(default_factory=Health)
    breaker: Breaker = field(default_factory=Breaker)

    def __post_init__(self) -> None:
        self.name = self.name or self.url

    @property
    def in_flight(self) -> int:
        """Requests of this gateway that are there now."""
        return len(self.calls)

    @property
    def state(self) -> State:
        """As metrics count it."""
        if self.healthy:
            return "healthy"
        return "open" if self.health.well else "away"

    def facts(self) -> NodeFacts:
        """What routing must know of the last status."""
        status = self.status
        if status is None:
            return NodeFacts(self.name)
        return NodeFacts(
            self.name,
            resident=_models_in(status, "device"),
            loading=_models_in(status, "loading"),
            restorable=_models_in(status, "host"),
            adapters=frozenset(
                (model.id, model.adapter)
                for model in status.models
                if model.adapter is not None and model.tier in ("device", "loading")
            ),
            waiting_requests=status.waiting_requests,
            waiting_tokens=status.waiting_tokens,
            tokens_per_second=status.tokens_per_second,
            free_bytes=status.memory_budget - status.memory_used,
            bytes={model.id: model.bytes for model in status.models if model.adapter is None and model.bytes},
        )


def _models_in(status: NodeStatus, tier: Tier) -> frozenset[str]:
    return frozenset(model.id for model in status.models if model.adapter is None and model.tier == tier)
