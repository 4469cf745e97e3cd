"""What those who work on batches must know of the wire that a line is for (gateway/api/bulk/lines.py is the one)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from gateway.engine_client import EmbedReply, EmbedRequest
from gateway.services.snapshot.entries import KeyEntry, ModelEntry, PolicySnapshot
from policies.estimate import TokenEstimate


@dataclass(frozen=True, slots=True)
class Work:
    """A line's request, ready for a node."""

    model: ModelEntry
    name: str
    """What the line says for the model."""
    request: EmbedRequest
    cost: TokenEstimate
    render: Callable[[EmbedReply], bytes]
    """The body of the answer."""


class LineWire(Protocol):
    """The story of one endpoint without its connection."""

    async def prepare(self, policies: PolicySnapshot, key: KeyEntry, body: bytes) -> Work:
        """What a line asks for, by the policies as they are now. Raises what the endpoint would answer."""
        ...

    async def ask(self, model: ModelEntry, request: EmbedRequest) -> EmbedReply:
        """Have a node do it. Raises what the node directory raises."""
        ...
