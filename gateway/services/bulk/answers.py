"""What becomes of a line: an answer like any other request's, as a line of the file of results or of failures."""

from typing import Any, NamedTuple
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec

from gateway.services.snapshot.entries import KeyEntry, ModelEntry
from gateway.services.usage.event import UsageEvent

OK = 200
ENCODE = msgspec.json.Encoder().encode
EXPIRED = {
    "code": "batch_expired",
    "message": "This request could not be executed before the completion window expired.",
}


class Answer(NamedTuple):
    """What a line came to."""

    number: int
    """Of the line."""
    custom_id: str
    status: int
    body: bytes
    model: ModelEntry | None = None
    """Set where the request was let in, so that a usage record is due."""
    inputs: int = 0
    tokens: int = 0
    bytes_in: int = 0
    seconds: float = 0.0
    """Of a node's time, and of waiting for it."""


def identity(batch_id: str, number: int) -> UUID:
    """Of a line for ever: whatever is done twice about it is one thing."""
    return uuid5(NAMESPACE_URL, f"shoal:{batch_id}:{number}")


def line_of(batch_id: str, answer: Answer) -> bytes:
    """The line of the file, with its end."""
    name = identity(batch_id, answer.number).hex
    response = {"status_code": answer.status, "request_id": f"req_{name}", "body": msgspec.Raw(answer.body)}
    return _line(name, answer.custom_id, response, None)


def expired_line(batch_id: str, number: int, custom_id: str) -> bytes:
    """The line of a request that was never made."""
    return _line(identity(batch_id, number).hex, custom_id, None, EXPIRED)


def _line(name: str, custom_id: str, response: Any, error: Any) -> bytes:
    told = {"id": f"batch_req_{name}", "custom_id": custom_id, "response": response, "error": error}
    return ENCODE(told) + b"\n"


def usage_of(batch_id: str, endpoint: str, key: KeyEntry, answer: Answer) -> UsageEvent | None:
    """The usage record of a line, the same however often it is made; None where nothing was let in."""
    if answer.model is None:
        return None
    name = identity(batch_id, answer.number)
    milliseconds = answer.seconds * 1000
    return UsageEvent(
        id=name,
        tenant_id=key.tenant.id,
        tenant_name=key.tenant.name,
        key_id=key.id,
        model=answer.model.id,
        revision=answer.model.revision,
        endpoint=endpoint,
        status=answer.status,
        inputs=answer.inputs,
        tokens=answer.tokens,
        bytes_in=answer.bytes_in,
        bytes_out=len(answer.body),
        latency_ms=milliseconds,
        upstream_ms=milliseconds,
        request_id=f"req_{name.hex}",
        lane="bulk",
    )
