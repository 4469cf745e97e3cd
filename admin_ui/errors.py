"""What goes wrong in the console becomes a page: one sentence of what happened, never a trace or a body of JSON."""

from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.response import Redirect, Template
from litestar.types import ExceptionHandler, ExceptionHandlersMap

from admin_ui.access import SignInNeeded
from admin_ui.address import elsewhere_of
from admin_ui.contexts.frame import ErrorPage, SignInPage
from admin_ui.cookies import session_cookie
from admin_ui.navigation import PREFIX
from admin_ui.ports import ConsoleServices
from admin_ui.sessions import Sessions
from admin_ui.visit import shell_of
from admin_ui.ways import path_of
from gateway.errors import GatewayError

AnyRequest = Request[Any, Any, Any]
LIVE = "x-live"
"""A header of what the console's own script asks for: it is told plainly that nobody is signed in."""

_MESSAGES = {
    HTTPStatus.BAD_REQUEST: "The request could not be read.",
    HTTPStatus.NOT_FOUND: "There is no page at this address.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This page can not be used that way.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "That was more than the console takes at once.",
}
_FAILED = "Something failed on this side. The server's log says what."


def exception_handlers(services: ConsoleServices, sessions: Sessions) -> ExceptionHandlersMap:
    """From exception to answer."""
    answers = _Answers(services, sessions)
    found: dict[int | type[Exception], ExceptionHandler[Any]] = {
        SignInNeeded: answers.sign_in,
        GatewayError: answers.gateway_error,
        HTTPException: answers.http_exception,
        Exception: answers.unforeseen,
    }
    return found


class _Answers:
    def __init__(self, services: ConsoleServices, sessions: Sessions) -> None:
        self._services = services
        self._sessions = sessions

    def sign_in(self, request: AnyRequest, needed: SignInNeeded) -> Response[Any]:
        if LIVE in request.headers:
            return Response("", status_code=401, media_type="text/plain")
        here = path_of(request)
        if needed.held is not None:
            session = self._sessions.start()
            token = self._sessions.csrf_token(session)
            page = SignInPage(token, PREFIX, held=needed.held, elsewhere=elsewhere_of(self._services))
            cookies = [session_cookie(request, self._services, self._sessions, session)]
            return Template(page.template, context={"page": page}, status_code=401, cookies=cookies)
        wanted = f"?next={quote(here)}" if request.method == "GET" and here.rstrip("/") != PREFIX else ""
        return Redirect(f"{PREFIX}/sign-in{wanted}", status_code=303)

    def gateway_error(self, request: AnyRequest, error: GatewayError) -> Response[Any]:
        if error.status >= 500:
            structlog.get_logger("shoal.console").error("page failed", path=request.scope["path"], reason=error.message)
        # A failure may name machines and folders, which are the operators' business alone.
        known = request.scope.get("user") is not None
        return self._page(request, error.status, error.message if known or error.status < 500 else _FAILED)

    def http_exception(self, request: AnyRequest, error: HTTPException) -> Response[Any]:
        status = HTTPStatus(error.status_code)
        message = _MESSAGES.get(status, _FAILED if status >= 500 else f"{status.description}.")
        return self._page(request, error.status_code, message)

    def unforeseen(self, request: AnyRequest, error: Exception) -> Response[Any]:
        structlog.get_logger("shoal.console").error("page failed", path=request.scope["path"], exc_info=error)
        return self._page(request, 500, _FAILED)

    def _page(self, request: AnyRequest, status: int, message: str) -> Response[Any]:
        page = ErrorPage(status, HTTPStatus(status).phrase, message)
        known = request.scope.get("user") is not None and request.scope.get("auth") is not None
        around = {"shell": shell_of(request, self._services, self._sessions, None)} if known else {}
        return Template(page.template, context={"page": page, **around}, status_code=status)
