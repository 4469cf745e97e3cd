"""Who may see which page: the one place that decides, for every handler, and denies by default.

A handler is open to visitors only if it says `PUBLIC`, else to operators with the right that it says it needs; one that
says nothing is open to nobody. For an operator of one tenant everything but that tenant is as if it were not there.
Every request that may change something must carry the token of its session, and come from no page of another site.
"""

import re
from collections.abc import Mapping
from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.enums import RequestEncodingType
from litestar.exceptions import NotFoundException
from litestar.handlers import BaseRouteHandler
from litestar.types import Guard

from admin_ui.contexts.frame import HeldForm
from admin_ui.cookies import cookie_value
from admin_ui.held import hold
from admin_ui.ports import ConsoleServices
from admin_ui.sessions import COOKIE, Session, Sessions
from gateway.errors import GatewayError, PermissionDenied
from gateway.services.access.operators import OperatorInfo
from gateway.services.access.roles import RIGHTS, Right
from gateway.services.access.sessions import find_session_operator

PUBLIC = {"public": True}
"""`opt` of a handler that visitors may reach."""
READS = frozenset({"GET", "HEAD", "OPTIONS"})
LONGEST_QUERY = 16 * 1024
"""Bytes; what a provider sends a browser back with is a tenth of it."""


def needs(right: Right) -> dict[str, Any]:
    """`opt` of a handler for operators who have this right.

    `tenant.…` is for routes that name the tenant, by its id, as `{tenant:str}`.
    """
    return {"right": right}


class SignInNeeded(Exception):
    """The page is for operators, and nobody has signed in."""

    held: HeldForm | None = None
    """What was sent to it."""


class FormNotOurs(GatewayError):
    """A write without its session's token: forged, or from a page that is out of date."""

    status = 403
    type = "permission_error"


class WrongHost(GatewayError):
    """The request names a host at which the console is not to answer: another site's name for this address."""

    status = 421
    type = "invalid_request_error"


class AddressTooLong(GatewayError):
    """More in the address than any page of the console asks for."""

    status = 414
    type = "invalid_request_error"


def access_guard(sessions: Sessions, services: ConsoleServices) -> Guard:
    """Refuse what may not pass. Handlers find the session in `request.auth` and its operator in `request.user`."""
    hosts = frozenset(host.lower() for host in services.settings.console_hosts)

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        if "\0" in connection.scope["path"]:  # no file or row has such a name, and asking for one is an error
            raise NotFoundException
        if len(connection.scope["query_string"]) > LONGEST_QUERY:
            raise AddressTooLong("This address is longer than any of the console's.")
        if hosts and _host_name(connection.headers.get("host", "")) not in hosts:
            raise WrongHost("The console does not answer at this address.")
        session = sessions.read(cookie_value(connection, services, COOKIE))
        connection.scope["auth"] = session
        if not handler.opt.get("public"):
            try:
                connection.scope["user"] = operator = await _operator(services, session)
            except SignInNeeded as needed:
                if isinstance(connection, Request):
                    needed.held = await hold(connection, services)
                raise
            authorize(operator, handler.opt.get("right"), connection.path_params)
        if isinstance(connection, Request) and connection.method not in READS:
            await _require_csrf_token(connection, sessions, session)

    return guard


def authorize(operator: OperatorInfo, right: Right | None, path: Mapping[str, Any]) -> None:
    """Return if an operator may do what a route needs.

    Raises NotFoundException where there is nothing for that operator, PermissionDenied where they may only look.
    """
    own = operator.tenant_id
    if right is None or (own is not None and right != "own.look" and path.get("tenant") != own):
        raise NotFoundException
    if right not in RIGHTS[operator.role]:
        if own is not None:
            raise NotFoundException
        raise PermissionDenied(f"A {operator.role} looks at everything and changes nothing.")


async def _operator(services: ConsoleServices, session: Session | None) -> OperatorInfo:
    """Who signed in, as the register knows them now: who was removed, or whose session was ended, is out."""
    if session is None or session.operator is None:
        raise SignInNeeded
    async with services.database.reading() as db_session:
        operator = await find_session_operator(db_session, session.id, session.operator)
    if operator is None:
        raise SignInNeeded
    return operator


async def _require_csrf_token(request: Request[Any, Any, Any], sessions: Sessions, session: Session | None) -> None:
    is_form = request.content_type[0] == RequestEncodingType.URL_ENCODED
    token = (await request.form()).get("csrf_token") if is_form else None
    ours = request.headers.get("sec-fetch-site", "same-origin") in {"same-origin", "none"}  # browsers say it over TLS
    if not ours or session is None or not isinstance(token, str) or not sessions.is_csrf_token(session, token):
        raise FormNotOurs("This form is out of date or did not come from the console. Go back, reload and try again.")


def _host_name(host: str) -> str:
    """A Host header without its port."""
    return re.sub(r":[0-9]*$", "", host).lower()
