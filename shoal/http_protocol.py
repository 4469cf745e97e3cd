"""uvicorn's HTTP/1.1 with what its parser lacks: bounds on what a client may send, hold and leave lying.

Without them anybody, with no key, could fill the memory by one endless header, stop the event loop while the pieces of
it are put together, or keep connections for ever by sending, or reading, a byte a minute.
"""

import asyncio
import select
from collections.abc import Callable, Iterator

import httptools
import uvicorn
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from gateway.errors import GatewayError, RequestError
from gateway.scope import FILE_KEY
from shoal.client_watch import ClientWatch
from shoal.doorkeeper import Doorkeeper, Limits, Verdict
from shoal.offers import without_offer
from shoal.refusals import (
    HEAD_TOO_LARGE,
    NOT_HTTP,
    STOPPING,
    TOO_MANY_CONNECTIONS,
    TOO_MANY_WAITING,
    URL_TOO_LONG,
    refusal,
)

MOST_WAITING = 16
"""Requests that may wait on a connection behind the one that is served."""
MOST_URL = 16 * 1024
TLS_FAREWELL = 0.5
"""Seconds in which an idle client may answer that TLS ends; one that looks at its connection only when it needs it
never does."""
SLICE = 16 * 1024
"""Bytes that are parsed at once, and so the exactness of the bound on heads."""


class Refused(Exception):
    """The connection is closing; nothing more of it is read."""


class BoundedHttp(HttpToolsProtocol):
    """One connection. Offers to upgrade are ignored, as RFC 9110 §7.8 allows, and the request served as it is.

    (Java's own client offers h2c with every first request; httptools drops the body of such a one.)
    """

    def __init__(
        self,
        config: uvicorn.Config,
        state: ServerState,
        limits: Limits,
        keeper: Doorkeeper,
        note_held: Callable[[int], None],
    ) -> None:
        super().__init__(config, state, {})
        self.verdict: Verdict | None = None
        """Whether to serve it, from who accepted it; None: the doorkeeper is asked."""
        self.when_closed: Callable[[], None] | None = None
        """Called at the end of the connection."""
        self._limits, self._keeper, self._note_held = limits, keeper, note_held
        self._asked: Verdict | None = None
        self._served: RequestResponseCycle | None = None
        """The request at work, before those that wait on this connection."""
        self._address = ""
        self._leaving = False
        self._offered: bytes | None = None
        """The head of a request that offered an upgrade, without the offer."""
        self._watch = ClientWatch(self.loop.time(), self.timeout_keep_alive)
        self._idle_since = self.loop.time()
        self._head_bytes = 0
        """Since the request began, or since the last piece of its body."""
        self._field_bytes = 0
        self._answer_size = 0
        """Of the last one: it lies in memory whole until its last byte is taken."""
        self._receiving = self._in_head = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, or turn away."""
        super().connection_made(transport)
        if self.verdict is None:
            self._address = self.client[0] if self.client else ""
            self.verdict = self._asked = self._keeper.enter(self._address)
        if self.verdict is Verdict.DROP:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let others take the place."""
        if self._served is not None:  # uvicorn tells the newest alone
            self._served.disconnected = True
            self._served.message_event.set()
        super().connection_lost(exc)
        if self._asked is not None:
            self._keeper.leave(self._address, self._asked)
        if self.when_closed is not None:
            self.when_closed()

    def data_received(self, data: bytes) -> None:
        """Parse, and refuse what is no HTTP or has no end."""
        self._unset_keepalive_if_required()
        for piece in _slices(data):
            if self.transport.is_closing():
                return
            try:
                self.parser.feed_data(piece)
            except httptools.HttpParserUpgrade as offer:
                self._serve_without_upgrade(piece[offer.args[0] :])
            except httptools.HttpParserError:
                self.send_400_response(NOT_HTTP)
            else:
                if self._receiving:
                    self._head_bytes += len(piece)
                    if self._head_bytes > self._limits.head + SLICE:
                        self._refuse(*HEAD_TOO_LARGE)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, and close."""
        self._refuse(400, RequestError(msg))

    # what the server asks

    @property
    def held(self) -> int:
        """Bytes in memory of what the client has not sent or not taken to its end."""
        arrived = len(self.cycle.body) if self._passes_file() else self._watch.arrived
        return arrived + (self._answer_size if self.transport.get_write_buffer_size() else 0)

    @property
    def held_since(self) -> float:
        """Since when, by the loop's clock."""
        return self._watch.held_since

    def look(self, now: float) -> None:
        """Cut off a client that takes too long, sending or reading."""
        if self._watch.reads_too_slowly(now, self.transport.get_write_buffer_size(), file=self._passes_file()):
            self.cut_off()
        elif self._watch.sends_too_slowly(now) and not self.flow.read_paused:
            self.transport.close()

    def cut_off(self) -> None:
        """Close without waiting for anything."""
        self.transport.abort()

    def leave(self) -> None:
        """Say in the next answer that it is the last; one whose head is sent says nothing more, and is none."""
        self._leaving = True
        if self.cycle is not None and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def close_if_idle(self, since: float) -> None:
        """Close where nothing has been asked since then, and nothing lies in the socket that would be lost."""
        if self.transport.is_closing():  # one that is being cut off has no socket any more
            return
        idle = not self._receiving and (self.cycle is None or self.cycle.response_complete)
        if idle and self._idle_since <= since and not self._has_unread():
            self.transport.close()
            self.loop.call_later(TLS_FAREWELL, self.transport.abort)

    def give_up(self) -> None:
        """Tell a caller that the time is up, if its answer has not begun."""
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_started:
            self.transport.write(refusal(*STOPPING))
            self.cycle.disconnected = True
        self.transport.close()

    # httptools callbacks

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._receiving = self._in_head = True
        self._head_bytes = self._field_bytes = 0
        self._watch.request_begins(self.loop.time())

    def on_url(self, url: bytes) -> None:
        """Note a piece of the request line."""
        super().on_url(url)
        if len(self.url) > MOST_URL:
            self._turn_away(URL_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header. What comes behind the body is none: a proxy before us has not looked at it."""
        if self._in_head:
            super().on_header(name, value)
            self._field_bytes += len(name) + len(value)
            if self._field_bytes > self._limits.head or len(self.headers) > self._limits.fields:
                self._turn_away(HEAD_TOO_LARGE)

    def on_headers_complete(self) -> None:
        """A head is complete: serve it, unless it has to be read again without its offer."""
        self._in_head = False
        if self.parser.should_upgrade():
            parser = self.parser
            line = b"%b %b HTTP/%b" % (parser.get_method(), self.url, parser.get_http_version().encode())
            self._offered = without_offer(line, self.headers)
            return
        self._watch.head_ends()
        if self.verdict is Verdict.REFUSE:
            self._turn_away(TOO_MANY_CONNECTIONS)
        if len(self.pipeline) >= MOST_WAITING:
            self._turn_away(TOO_MANY_WAITING)
        super().on_headers_complete()
        if self._leaving:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Pass on a piece of the body."""
        self._head_bytes = 0
        if not self.cycle.response_complete:  # else nobody keeps it
            self._watch.arrived += len(body)
            self._note_held(len(body))
            if self._passes_file():
                self._watch.file_arrives(len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Nothing more is awaited of the client."""
        if self._offered is not None:
            return
        self._receiving = False
        self._watch.request_ends()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer is written; the next request may come."""
        self._idle_since = self.loop.time()
        self._answer_size = self.transport.get_write_buffer_size()
        if self._answer_size:
            self._note_held(self._answer_size)
        super().on_response_complete()

    def _passes_file(self) -> bool:
        return self.cycle is not None and FILE_KEY in self.cycle.scope

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._served = cycle
        super()._start_asgi_task(cycle, app)

    # refusals

    def _serve_without_upgrade(self, rest: bytes) -> None:
        head, self._offered = self._offered or b"", None
        if head.startswith(b"CONNECT "):
            self.send_400_response(NOT_HTTP)
            return
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own
        self.data_received(head + rest)

    def _turn_away(self, why: tuple[int, GatewayError]) -> None:
        self._refuse(*why)
        raise Refused

    def _refuse(self, status: int, error: GatewayError) -> None:
        if self.transport.is_closing():
            return
        self._receiving = False
        if self.cycle is None or self.cycle.response_complete:  # else the answer would pass for that of another request
            self.transport.write(refusal(status, error))
        self.transport.close()

    def _has_unread(self) -> bool:
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))


def _slices(data: bytes) -> Iterator[bytes]:
    if len(data) <= SLICE:
        yield data
        return
    for start in range(0, len(data), SLICE):
        yield data[start : start + SLICE]
