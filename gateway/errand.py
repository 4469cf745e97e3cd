"""What goes along with every call that is made elsewhere on behalf of a request: its id, and its place in a trace.

Known to the task that serves the request and to those that it starts; a call made for no request has neither.
"""

import re
from contextvars import ContextVar, Token

from gateway.tracing import UNRECORDED, Span

SANE_ID = re.compile(rb"[A-Za-z0-9_/][A-Za-z0-9._:/+=-]{0,127}")
"""An id of a request that is taken as its caller gives it: what no log, header or spreadsheet takes for more."""

Headers = tuple[tuple[bytes, bytes], ...]

_SPAN: ContextVar[Span] = ContextVar("the request's span", default=UNRECORDED)
_HEADERS: ContextVar[Headers] = ContextVar("headers of calls elsewhere", default=())


def set_out(request_id: str, span: Span) -> None:
    """From here on this task works for the request, which has this span."""
    _HEADERS.set(((b"x-request-id", request_id.encode()),))
    _SPAN.set(span)


class Traced:
    """A block whose calls are part of the trace, if there is one."""

    def __init__(self, traceparent: str) -> None:
        self._traceparent = traceparent
        self._token: Token[Headers] | None = None

    def __enter__(self) -> None:
        if self._traceparent:
            self._token = _HEADERS.set((*_HEADERS.get(), (b"traceparent", self._traceparent.encode())))

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _HEADERS.reset(self._token)


def headers() -> Headers:
    """For a call that this task makes."""
    return _HEADERS.get()


def span() -> Span:
    """Of the request that this task serves."""
    return _SPAN.get()
