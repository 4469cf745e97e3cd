"""One served request as it is written to the spool and, from there, to the database."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec

from gateway.services.ids import uuid7


class UsageEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What an invoice or a dispute may ask for."""

    tenant_id: str
    tenant_name: str
    """As it was then."""
    key_id: str
    model: str
    """The registered id, whatever alias the caller used."""
    revision: str | None
    endpoint: str
    """The route, such as `/v1/embeddings`."""
    status: int
    inputs: int
    tokens: int
    """What the model processed."""
    bytes_in: int
    latency_ms: float
    bytes_out: int = 0
    upstream_ms: float = 0.0
    """Of the latency, what nodes took."""
    request_id: str = ""
    lane: str = "interactive"
    time: datetime = msgspec.field(default_factory=lambda: datetime.now(UTC))
    id: UUID = msgspec.field(default_factory=uuid7)
    """Two events with one id are one."""


# By name, not by place: a newer version must read what an older one left in the spool.
packed = msgspec.msgpack.Encoder(uuid_format="bytes").encode
unpacked = msgspec.msgpack.Decoder(UsageEvent).decode
