"""Answers as finished bytes: Litestar passes them on without encoding, copying or guessing anything."""

from typing import Any, Protocol

from litestar.types import Receive, Scope, Send

JSON = b"application/json"


class Sendable(Protocol):
    """An ASGI response."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""


class Answer:
    """An ASGI response of known status, headers and body."""

    __slots__ = ("body", "headers", "status")

    def __init__(
        self, body: bytes, *, status: int = 200, media_type: bytes = JSON, headers: dict[str, str] | None = None
    ) -> None:
        self.status = status
        self.body = body
        self.headers: list[tuple[bytes, bytes]] = [
            (b"content-type", media_type),
            (b"content-length", b"%d" % len(body)),
        ]
        if headers:
            self.headers += [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Send it."""
        start: Any = {"type": "http.response.start", "status": self.status, "headers": self.headers}
        await send(start)
        await send({"type": "http.response.body", "body": self.body, "more_body": False})
