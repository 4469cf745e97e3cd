"""Around every route: what each answer carries, whatever it is, and what is counted of it.

Plain ASGI. Usage is recorded and metrics are counted once the answer's status is known, before its first byte leaves.
"""

import re
from secrets import token_hex
from typing import Any, cast

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPResponseStartEvent, Message, Receive, Scope, Send

from gateway.api.model_choice import key_of
from gateway.api.rate_headers import rate_headers
from gateway.call import SCOPE_KEY, Call
from gateway.services.opened import Services
from gateway.services.snapshot import KeyEntry
from gateway.services.usage import UsageEvent
from policies.quota import Standings

SANE_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")


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
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        call = Call(given.decode() if SANE_REQUEST_ID.fullmatch(given) else f"req_{token_hex(16)}", headers)
        cast(dict[str, Any], scope)[SCOPE_KEY] = call

        async def send_completed(message: Message) -> None:
            if message["type"] == "http.response.start":
                await self._complete(call, message)
            await send(message)

        self._services.metrics.inflight.inc()
        try:
            await self._app(scope, receive, send_completed)
        finally:
            self._services.metrics.inflight.dec()

    async def _complete(self, call: Call, start: HTTPResponseStartEvent) -> None:
        """Account for the answer and add the headers that every one carries."""
        elapsed, status = call.elapsed, start["status"]
        tokens = call.reservation.settled if call.reservation is not None else 0
        model = call.model.id if call.model is not None else ""
        self._services.metrics.answered(call.endpoint, model, status, elapsed, call.upstream, tokens)
        if call.reservation is not None:
            self._services.usage.record(usage_event(call, key_of(call), status, elapsed, tokens))
        start["headers"] = [
            *start["headers"],
            (b"x-request-id", call.id.encode()),
            (b"openai-processing-ms", b"%d" % (elapsed * 1000)),
            (b"openai-version", b"2020-10-01"),
            *(rate_headers(await self._standings(call, call.key)) if call.key is not None else ()),
        ]

    async def _standings(self, call: Call, key: KeyEntry) -> Standings:
        if call.reservation is not None:
            return call.reservation.standings
        return await self._services.quota.standings(key, call.model.names if call.model is not None else ())


def usage_event(call: Call, key: KeyEntry, status: int, elapsed: float, tokens: int) -> UsageEvent:
    """What is kept of a request that was admitted; `elapsed` in seconds."""
    return UsageEvent(
        tenant_id=key.tenant.id,
        tenant_name=key.tenant.name,
        key_id=key.id,
        model=call.model.id if call.model is not None else "",
        revision=call.model.revision if call.model is not None else None,
        endpoint=call.endpoint,
        status=status,
        inputs=call.inputs,
        tokens=tokens,
        bytes_in=call.bytes_in,
        latency_ms=elapsed * 1000,
        lane=call.lane,
    )
