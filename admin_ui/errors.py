"""What goes wrong in the console becomes a page: one sentence of what happened, never a trace or a body of JSON."""

from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.response import Redirect, Template
from litestar.types import ExceptionHandlersMap

from admin_ui.access import PREFIX, SignInNeeded
from admin_ui.contexts import ErrorPage
from gateway.errors import GatewayError

AnyRequest = Request[Any, Any, Any]

_MESSAGES = {
    HTTPStatus.BAD_REQUEST: "The request could not be read.",
    HTTPStatus.NOT_FOUND: "There is no page at this address.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This page can not be used that way.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "That was more than the console takes at once.",
}
_FAILED = "Something failed on this side. The server's log says what."


def exception_handlers() -> ExceptionHandlersMap:
    """From exception to answer."""
    return {
        SignInNeeded: _to_sign_in,
        GatewayError: _gateway_error,
        HTTPException: _http_exception,
        Exception: _unforeseen,
    }


def _to_sign_in(request: AnyRequest, _: Exception) -> Response[Any]:
    here = request.scope["path"]
    wanted = f"?next={quote(here)}" if request.method == "GET" and here.rstrip("/") != PREFIX else ""
    return Redirect(f"{PREFIX}/sign-in{wanted}", status_code=303)


def _gateway_error(request: AnyRequest, error: GatewayError) -> Response[Any]:
    if error.status >= 500:
        structlog.get_logger("shoal.console").error("page failed", path=request.scope["path"], reason=error.message)
    # A failure may name machines and folders, which are the operators' business alone.
    known = request.scope.get("user") is not None
    return _page(error.status, error.message if known or error.status < 500 else _FAILED)


def _http_exception(_: AnyRequest, error: HTTPException) -> Response[Any]:
    status = HTTPStatus(error.status_code)
    return _page(error.status_code, _MESSAGES.get(status, _FAILED if status >= 500 else f"{status.description}."))


def _unforeseen(request: AnyRequest, error: Exception) -> Response[Any]:
    structlog.get_logger("shoal.console").error("page failed", path=request.scope["path"], exc_info=error)
    return _page(500, _FAILED)


def _page(status: int, message: str) -> Response[Any]:
    page = ErrorPage(status, HTTPStatus(status).phrase, message)
    return Template("error.html", context={"page": page}, status_code=status)
