"""Around every route: what each answer carries, whatever it is, and what is counted of it.

Plain ASGI. Usage is recorded and metrics are counted once the answer's status is known, before its first byte leaves;
an answer whose usage can not be recorded does not leave. One that leaves while it is made (`Call.stream`) is accounted
for before its last byte, or when its caller is gone.
"""

from secrets import token_hex
from typing import Any, cast

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPResponseStartEvent, Message, Receive, Scope, Send

from gateway import errand
from gateway.api import witness
from gateway.api.answers import Answer
from gateway.api.model_choice import key_of
from gateway.api.rate_headers import rate_headers
from gateway.call import SCOPE_KEY, Call, Stream, header_fields
from gateway.errors import ClientGone, GatewayError, error_body, error_headers, plain_error_body
from gateway.services.opened import Services
from gateway.services.snapshot.entries import KeyEntry
from gateway.services.usage.recorder import UsageEvent
from gateway.services.usage.spool import NoRoom
from policies.quota import Standings

log = structlog.get_logger(__name__)

HEAD = "HEAD"
REFUSED = 400
"""From this status on, what was not admitted was refused."""


class Shell:
    """An ASGI app around another."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app = app
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or pass on what is none."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        method = scope["method"]
        if method == HEAD:  # whatever can be got has a head; the server leaves the body out by its own copy
            scope = cast(Scope, {**scope, "method": "GET"})
        headers = header_fields(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        call = Call(given.decode() if errand.SANE_ID.fullmatch(given) else f"req_{token_hex(16)}", headers)
        cast(dict[str, Any], scope)[SCOPE_KEY] = call

        withheld: Answer | None = None

        async def send_completed(message: Message) -> None:
            nonlocal withheld
            if call.stream is not None:
                await self._stream(call, call.stream, message)
            elif message["type"] == "http.response.start":
                withheld = self._account_for(call, message)
                if withheld is not None:
                    message["status"], message["headers"] = withheld.status, withheld.headers
                await self._complete(call, message)
            elif message["type"] == "http.response.body" and withheld is not None:
                if message["more_body"]:
                    return
                message["body"] = withheld.body
            await send(message)

        self._services.metrics.inflight.inc()
        try:
            with witness.set_out(self._services, call, method):
                try:
                    await self._app(scope, receive, send_completed)
                finally:
                    witness.tell(self._services, call, method)
        finally:
            self._services.metrics.inflight.dec()
            if call.stream is not None and not call.stream.accounted:
                self._account_for_stream(call, call.stream)

    def _account_for(self, call: Call, start: HTTPResponseStartEvent) -> Answer | None:
        """Record what was served and count what was refused; what to answer instead where that can not be done."""
        if call.reservation is not None:
            try:
                sent = next((int(value) for name, value in start["headers"] if name == b"content-length"), 0)
                self._services.usage.record(usage_event(call, key_of(call), start["status"], sent))
            except NoRoom as error:
                return refusal(call, error)
        elif call.key is not None and start["status"] >= REFUSED and start["status"] != ClientGone.status:
            model = call.model.id if call.model is not None else ""
            self._services.usage.refused(call.key, model, call.endpoint, call.lane)
        return None

    async def _stream(self, call: Call, stream: Stream, message: Message) -> None:
        """Pass on an answer that leaves while it is made, its books closed before its last byte."""
        if message["type"] == "http.response.start":
            await self._add_headers(call, call.elapsed, message)
        elif message["type"] == "http.response.body":
            stream.bytes_out += len(message["body"])
            if not message["more_body"]:
                self._account_for_stream(call, stream)

    def _account_for_stream(self, call: Call, stream: Stream) -> None:
        """Record and count what it came to. There was room for the record when it began, and some is kept for it."""
        stream.accounted = True
        try:
            self._services.usage.record(usage_event(call, key_of(call), stream.status, stream.bytes_out))
        except NoRoom:
            log.exception("usage of a stream was not recorded", request_id=call.id)
        self._count(call, stream.status, stream.begun, stream.upstream)

    async def _complete(self, call: Call, start: HTTPResponseStartEvent) -> None:
        """Count the answer and add the headers that every one carries."""
        elapsed = call.elapsed
        self._count(call, start["status"], elapsed, call.upstream)
        await self._add_headers(call, elapsed, start)

    def _count(self, call: Call, status: int, elapsed: float, upstream: float) -> None:
        call.status = status
        tokens = call.reservation.settled if call.reservation is not None else 0
        model = call.model.id if call.model is not None else ""
        self._services.metrics.answered(call.endpoint, model, status, elapsed, upstream, tokens)

    async def _add_headers(self, call: Call, elapsed: float, start: HTTPResponseStartEvent) -> None:
        start["headers"] = [
            *start["headers"],
            (b"x-request-id", call.id.encode()),
            (b"openai-processing-ms", b"%d" % (elapsed * 1000)),
            (b"openai-version", b"2020-10-01"),
            *([(b"x-shoal-usage", b"estimated")] if call.estimated else ()),
            *(rate_headers(await self._standings(call, call.key)) if call.key is not None else ()),
        ]

    async def _standings(self, call: Call, key: KeyEntry) -> Standings:
        if call.reservation is not None:
            return call.reservation.standings
        return await self._services.quota.standings(key, call.model.names if call.model is not None else ())


def usage_event(call: Call, key: KeyEntry, status: int, bytes_out: int) -> UsageEvent:
    """What is kept of a request that was admitted, and of its answer."""
    return UsageEvent(
        tenant_id=key.tenant.id,
        tenant_name=key.tenant.name,
        key_id=key.id,
        model=call.model.id if call.model is not None else "",
        revision=call.model.revision if call.model is not None else None,
        endpoint=call.endpoint,
        status=status,
        inputs=call.inputs,
        tokens=call.reservation.settled if call.reservation is not None else 0,
        bytes_in=call.bytes_in,
        bytes_out=bytes_out,
        latency_ms=call.elapsed * 1000,
        upstream_ms=call.upstream * 1000,
        request_id=call.id,
        lane=call.lane,
    )


def refusal(call: Call, error: GatewayError) -> Answer:
    """An error in place of an answer that is made already."""
    body = plain_error_body(error) if call.plain_errors else error_body(error)
    return Answer(body, status=error.status, headers=error_headers(error))
