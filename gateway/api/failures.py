"""Whatever a handler raises, Litestar's own errors included, as the one error body that every client can read."""

from typing import Any

import structlog
from litestar import MediaType, Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap

from gateway.api.paths import TEI
from gateway.call import call_of
from gateway.errors import (
    AuthenticationFailed,
    BodyTooLarge,
    EngineFailed,
    GatewayError,
    MethodNotAllowed,
    ModelNotFound,
    PermissionDenied,
    QuotaExceeded,
    RequestError,
    RouteNotFound,
    TenantSuspended,
    error_body,
    error_headers,
    plain_error_body,
)
from gateway.observability import GatewayMetrics

AnyRequest = Request[Any, Any, Any]

DENIALS: tuple[tuple[type[GatewayError], str], ...] = (
    (QuotaExceeded, ""),
    (AuthenticationFailed, "key"),
    (TenantSuspended, "tenant"),
    (PermissionDenied, "permission"),
    (ModelNotFound, "model"),
)
"""What counts as a denial, and as which kind; a quota's kind is its type."""


def exception_handlers(metrics: GatewayMetrics, max_body_bytes: int) -> ExceptionHandlersMap:
    """The handlers by the type of what was raised."""
    log = structlog.get_logger("shoal.gateway")

    def known(request: AnyRequest, error: GatewayError) -> Response[bytes]:
        for kind, name in DENIALS:
            if isinstance(error, kind):
                metrics.denied(name or error.type)
        if isinstance(error, EngineFailed):
            log.error("a node failed", request_id=call_of(request.scope).id, reason=error.reason)
        return _answer(request, error)

    def litestar_own(request: AnyRequest, error: HTTPException) -> Response[bytes]:
        if request.scope["path"] in TEI:  # with a wrong method there is no route that would have said so
            call_of(request.scope).plain_errors = True
        return _answer(request, translated(error, request, max_body_bytes))

    def unforeseen(request: AnyRequest, error: Exception) -> Response[bytes]:
        log.error("a request failed", request_id=call_of(request.scope).id, path=request.scope["path"], exc_info=error)
        return _answer(
            request, GatewayError("The server had an error while processing your request. Sorry about that!")
        )

    return {GatewayError: known, HTTPException: litestar_own, Exception: unforeseen}


def translated(error: HTTPException, request: AnyRequest, max_body_bytes: int) -> GatewayError:
    """A Litestar error as one of ours."""
    method, path = request.scope["method"], request.scope["path"]
    match error.status_code:
        case 404:
            return RouteNotFound(method, path)
        case 405:
            return MethodNotAllowed(method, path, (error.headers or {}).get("allow"))
        case 413:
            return BodyTooLarge(max_body_bytes)
        case status if status < 500:
            return RequestError(error.detail)
        case _:
            return GatewayError("The server had an error while processing your request. Sorry about that!")


def _answer(request: AnyRequest, error: GatewayError) -> Response[bytes]:
    body = plain_error_body(error) if call_of(request.scope).plain_errors else error_body(error)
    return Response(body, status_code=error.status, media_type=MediaType.JSON, headers=error_headers(error))
