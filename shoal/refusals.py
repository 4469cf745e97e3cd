"""What a connection is told that is refused before any app hears of it: in the words and shape of every other error."""

from typing import Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from gateway.errors import GatewayError, RequestError, Unavailable, error_body, error_headers

NOT_HTTP = "The request is not valid HTTP/1.1."
HEAD_TOO_LARGE: Final = (431, RequestError("The request's headers are too large."))
URL_TOO_LONG: Final = (414, RequestError("The request's address is too long."))
TOO_MANY_WAITING: Final = (429, RequestError("Too many requests wait on one connection; use several."))
TOO_MANY_CONNECTIONS: Final = (
    503,
    Unavailable("Too many connections are open, please try again later.", code="too_many_connections", retry_after=1.0),
)
STOPPING: Final = (503, Unavailable("This server is stopping, please try again.", code="stopping", retry_after=1.0))


def refusal(status: int, error: GatewayError) -> bytes:
    """A whole answer, the last of its connection."""
    body = error_body(error)
    fields = {"content-type": "application/json", "content-length": str(len(body)), "connection": "close"}
    lines = [f"{name}: {value}\r\n" for name, value in (fields | error_headers(error)).items()]
    return STATUS_LINE[status] + "".join(lines).encode() + b"\r\n" + body
