"""What can go wrong between a caller and a Shoal server, as one tree.

ShoalError
├── KeyMissing             no API key, and none in the variable that was named
├── Unreachable            no connection, or it broke off
│   └── TimedOut
├── BadReply               an answer that is not what the wire promises
└── Refused                the server said no
    ├── BadRequest         400, 413, 415, 422
    │   └── InputTooLong   a text passes the model's limit, and may not be cut
    ├── AuthenticationFailed 401
    ├── PermissionDenied   403
    ├── NotFound           404: a model that this key may not use looks like one that is not there
    ├── RateLimited        429
    └── ServerFailed       5xx
"""

import json
from collections.abc import Mapping
from typing import Any


class ShoalError(Exception):
    """Whatever this package raises of its own."""


class KeyMissing(ShoalError):
    """There is no API key."""


class Unreachable(ShoalError):
    """The server could not be reached, or the connection broke off."""


class TimedOut(Unreachable):
    """The server did not answer in time."""


class BadReply(ShoalError):
    """The answer can not be read, or is not about what was asked."""


class Refused(ShoalError):
    """The server answered with an error; `code`, `type` and `param` are its own words, where it has any."""

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str | None = None,
        type: str | None = None,  # noqa: A002 - the wire's word
        param: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.type = type
        self.param = param
        self.request_id = request_id
        self.retry_after = retry_after
        """Seconds after which the server wants to be asked again."""

    def __str__(self) -> str:
        asked = f", request {self.request_id}" if self.request_id else ""
        return f"{self.message} (status {self.status}{asked})"


class BadRequest(Refused):
    """The request must change before it can be answered."""


class InputTooLong(BadRequest):
    """A text has more tokens than the model takes, and `truncate` is False."""


class AuthenticationFailed(Refused):
    """The API key is wrong, revoked or expired."""


class PermissionDenied(Refused):
    """The key is good, but not for this; or its tenant is suspended."""


class NotFound(Refused):
    """No such model, or not for this key."""


class RateLimited(Refused):
    """A quota is used up, or the server has too much waiting."""


class ServerFailed(Refused):
    """The server could not do it."""


BY_STATUS: Mapping[int, type[Refused]] = {
    **dict.fromkeys((400, 413, 415, 422), BadRequest),
    401: AuthenticationFailed,
    403: PermissionDenied,
    404: NotFound,
    429: RateLimited,
}
SHOWN = 200
"""Characters of an answer that is no JSON."""


def refusal(status: int, headers: Mapping[str, str], content: bytes, retry_after: float | None) -> Refused:
    """An answer that is an error as an exception. Reads OpenAI's shape and text-embeddings-inference's."""
    said, message = _said(content)
    kind = BY_STATUS.get(status, ServerFailed if status >= 500 else Refused)
    if said.get("code") == "context_length_exceeded":
        kind = InputTooLong
    words = {name: str(said[name]) for name in ("code", "type", "param") if said.get(name) is not None}
    return kind(message, status=status, request_id=headers.get("x-request-id"), retry_after=retry_after, **words)


def _said(content: bytes) -> tuple[Mapping[str, Any], str]:
    try:
        body = json.loads(content)
    except ValueError:
        return {}, content[:SHOWN].decode("utf-8", "replace") or "The answer is empty."
    error = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(error, dict):
        return error, str(error.get("message") or error.get("detail") or error)[: 10 * SHOWN]
    return {}, str(error)
