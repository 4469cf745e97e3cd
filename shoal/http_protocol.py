"""uvicorn's HTTP/1.1 with what its parser lacks: bounds on heads and on how long a request may take to arrive.

Without them anybody, with no key, could fill the memory by one endless header, stop the event loop while the pieces of
it are put together, or keep connections for ever by sending a byte a minute.
"""

import asyncio
from collections.abc import Callable
from math import inf

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway.errors import RequestError, error_body

MOST_HEAD = 512 * 1024
"""Bytes that may come in a row without any of a body: of a head, or of trailers. Above one read of the event loop, so
that what a read holds beside them never counts."""
HEAD_PATIENCE = 30.0
"""Seconds from the first byte of a head to its last."""
BODY_PATIENCE = 300.0
"""Seconds from then to the last byte of the body: the largest body over one megabit a second."""
LOOK_INTERVAL = 10.0
"""Seconds between two looks at whether a connection's patience has ended."""
OFFERS = frozenset({b"upgrade", b"http2-settings"})

NOT_HTTP = "The request is not valid HTTP/1.1."
HEAD_TOO_LARGE = "The request's headers are too large."


class BoundedHttp(HttpToolsProtocol):
    """One connection. Offers to upgrade are ignored, as RFC 9110 §7.8 allows, and the request served as it is.

    (Java's own client offers h2c with every first request; httptools drops the body of such a one.)
    """

    _due = inf
    """When, by the loop's clock, what is awaited of the client must have come."""
    _without_body = 0
    """Bytes since the request began, or since the last piece of its body."""
    _receiving = False
    _in_head = False
    _offered: bytes | None = None
    """The head of a request that offered an upgrade, without the offer."""
    _look: asyncio.TimerHandle | None = None
    when_closed: Callable[[], None] | None = None
    """Called at the end of the connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to watch."""
        super().connection_made(transport)
        self._due = self.loop.time() + self.timeout_keep_alive
        self._look = self.loop.call_later(LOOK_INTERVAL, self._close_if_overdue)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop watching."""
        super().connection_lost(exc)
        if self._look is not None:
            self._look.cancel()
        if self.when_closed is not None:
            self.when_closed()

    def data_received(self, data: bytes) -> None:
        """Parse, and refuse what is no HTTP or has no end."""
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._serve_without_upgrade(data[offer.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response(NOT_HTTP)
        else:
            if self._receiving:
                self._without_body += len(data)
                if self._without_body > MOST_HEAD:
                    self._refuse(431, HEAD_TOO_LARGE)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, and close."""
        self._refuse(400, msg)

    # httptools callbacks

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._receiving = self._in_head = True
        self._without_body = 0
        self._due = self.loop.time() + HEAD_PATIENCE

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header. What comes behind the body is none: a proxy before us has not looked at it."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """A head is complete: serve it, unless it has to be read again without its offer."""
        self._in_head = False
        if self.parser.should_upgrade():
            self._offered = self._head_without_offer()
            return
        self._due = self.loop.time() + BODY_PATIENCE
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Pass on a piece of the body."""
        self._without_body = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Nothing more is awaited of the client."""
        if self._offered is not None:
            return
        self._receiving = False
        self._due = inf
        super().on_message_complete()

    # refusals

    def _head_without_offer(self) -> bytes:
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        for name, value in self.headers:
            if name == b"connection":
                tokens = [token for token in value.split(b",") if token.strip().lower() not in OFFERS]
                lines.append(b"connection: " + b",".join(tokens))
            elif name not in OFFERS:
                lines.append(b"%b: %b" % (name, value))
        return b"\r\n".join([*lines, b"", b""])

    def _serve_without_upgrade(self, rest: bytes) -> None:
        head, self._offered = self._offered or b"", None
        if head.startswith(b"CONNECT "):
            self.send_400_response(NOT_HTTP)
            return
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own
        self.data_received(head + rest)

    def _refuse(self, status: int, message: str) -> None:
        self._receiving = False
        if self.cycle is None or self.cycle.response_complete:  # else the answer would pass for that of another request
            body = error_body(RequestError(message))
            fields = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
            self.transport.write(STATUS_LINE[status] + fields + body)
        self.transport.close()

    def _close_if_overdue(self) -> None:
        if self.loop.time() > self._due and not self.flow.read_paused:
            self.transport.close()
        else:
            self._look = self.loop.call_later(LOOK_INTERVAL, self._close_if_overdue)
