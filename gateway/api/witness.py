"""What is told of a request beside its answer; never what was sent or answered, nor a key.

Its id is in every line that is logged meanwhile, there is a line of its own where an operator wants to read of it, and
a span of it where a trace is recorded.
"""

from typing import Any

import structlog

from gateway import errand
from gateway.call import Call
from gateway.services.opened import Services
from gateway.settings import AccessLog
from gateway.tracing import Span

SLOW = 10.0
"""Seconds from which on a request is a problem."""
FAILED = 500
"""Status from which on it is one."""
OPERATIONS = {
    "/v1/embeddings": "embeddings",
    "/v1/chat/completions": "chat",
    "/v1/completions": "text_completion",
}
"""What OpenTelemetry's conventions call the work of a route, where they have a name for it."""

log = structlog.get_logger("shoal.access")


def set_out(services: Services, call: Call, method: str) -> Span:
    """From here on this task serves the request; its span, to be ended when it is served."""
    structlog.contextvars.bind_contextvars(request_id=call.id)
    traceparent = call.headers.get(b"traceparent", b"").decode("latin-1")
    call.span = services.tracer.request(method, traceparent)
    errand.set_out(call.id, call.span)
    return call.span


def tell(services: Services, call: Call, method: str) -> None:
    """The request is served, or was given up."""
    if call.span.recorded:
        tell_trace(call, method)
    if is_told(services.settings.access_log, call):
        (log.warning if failed(status_of(call)) else log.info)("request", **line(call, method))


def is_told(rule: AccessLog, call: Call) -> bool:
    """Whether there is a line of the request. That we are not ready is no request that failed."""
    problem = (failed(status_of(call)) and call.endpoint != "/health/ready") or call.elapsed >= SLOW
    return rule == "all" or (rule == "problems" and problem)


def failed(status: int) -> bool:
    """Whether it was us; 0: there was no answer."""
    return status >= FAILED or not status


def status_of(call: Call) -> int:
    """Of the answer; of one that leaves while it is made, how it stood then."""
    return call.status or (call.stream.status if call.stream is not None else 0)


def line(call: Call, method: str) -> dict[str, Any]:
    """What the log says of the request beside its id; what is not known is left out."""
    theirs = call.headers.get(b"x-client-request-id", b"")
    known = {
        "client_request_id": theirs.decode() if errand.SANE_ID.fullmatch(theirs) else None,
        "method": method,
        "endpoint": call.endpoint,
        "status": status_of(call) or None,
        "tenant": call.key.tenant.id if call.key is not None else None,
        "key_id": call.key.id if call.key is not None else None,
        "model": call.model.id if call.model is not None else None,
        "lane": call.lane if call.model is not None else None,
        "inputs": call.inputs or None,
        "tokens": call.reservation.settled if call.reservation is not None else None,
        "seconds": round(call.elapsed, 4),
        "upstream_seconds": round(call.upstream, 4) if call.upstream else None,
    }
    return {name: value for name, value in known.items() if value is not None}


def tell_trace(call: Call, method: str) -> None:
    """The same for its span, by OpenTelemetry's names where it has some."""
    said = line(call, method)
    names = {
        "method": "http.request.method",
        "endpoint": "http.route",
        "status": "http.response.status_code",
        "model": "gen_ai.request.model",
        "tokens": "gen_ai.usage.input_tokens",
        "tenant": "shoal.tenant.id",
        "key_id": "shoal.key.id",
        "lane": "shoal.lane",
        "inputs": "shoal.inputs",
    }
    span = call.span
    span.rename(f"{method} {call.endpoint}")
    span.tell({"shoal.request_id": call.id} | {name: said[word] for word, name in names.items() if word in said})
    if call.endpoint in OPERATIONS:
        span.tell({"gen_ai.operation.name": OPERATIONS[call.endpoint]})
    if failed(status_of(call)):
        span.fail(str(status_of(call) or "no answer"))
