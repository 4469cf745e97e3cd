"""Signing in elsewhere: to the provider, and back."""

import hmac
import secrets
from typing import Any

import msgspec
import structlog
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromQuery, SkipValidation
from litestar.response import Redirect, Template

from admin_ui.access import PUBLIC
from admin_ui.address import caller, elsewhere_of
from admin_ui.contexts.frame import SignInPage
from admin_ui.cookies import cookie, cookie_value, no_cookie, session_cookie
from admin_ui.navigation import PREFIX
from admin_ui.oidc import Attempt, OidcProvider, SignInFailed
from admin_ui.ports import ConsoleServices
from admin_ui.sessions import Session, Sessions
from admin_ui.views.sign_in import begin
from admin_ui.ways import safe_next
from gateway.errors import Conflict, NotFound, RequestError
from gateway.services.access.operators import OperatorInfo
from gateway.services.access.outsiders import Outsider, admit_outsider
from gateway.services.register.audit import Actor

COOKIE = "shoal_oidc"
LASTS = 600
"""Seconds that somebody may take at the provider."""
AGAIN = "This sign-in was begun elsewhere or too long ago. Begin again."

MaybeProvider = NamedDependency[SkipValidation[OidcProvider | None]]
Services = NamedDependency[SkipValidation[ConsoleServices]]


@get("/sign-in/oidc", opt=PUBLIC)
async def leave(
    request: Request[Any, Session | None, Any],
    services: Services,
    sessions: NamedDependency[SkipValidation[Sessions]],
    oidc: MaybeProvider,
    next: FromQuery[str] = PREFIX,  # noqa: A002 (the name in the URL)
) -> Response[Any]:
    """Remember the attempt in the browser, and send it to the provider."""
    if oidc is None:
        raise NotFoundException
    session = request.auth or sessions.start()
    attempt = Attempt(secrets.token_urlsafe(48), safe_next(next), sessions.now + LASTS)
    try:
        address = await oidc.address(attempt, _redirect_uri(request, services))
    except SignInFailed as failed:
        return _refused(request, services, sessions, failed)
    sealed = sessions.sealed(session, COOKIE, msgspec.json.encode(attempt))
    cookies = [
        session_cookie(request, services, sessions, session),
        cookie(request, services, COOKIE, sealed, LASTS),
    ]
    return Redirect(address, status_code=303, cookies=cookies)


@get("/sign-in/oidc/done", opt=PUBLIC)
async def come_back(
    request: Request[Any, Session | None, Any],
    services: Services,
    sessions: NamedDependency[SkipValidation[Sessions]],
    oidc: MaybeProvider,
) -> Response[Any]:
    """Check what the provider says, and start the operator's session."""
    if oidc is None:
        raise NotFoundException
    try:
        attempt = _attempt(request, services, sessions)
        code, issuer = _code(request), request.query_params.get("iss")
        who = await oidc.prove(attempt, code, _redirect_uri(request, services), issuer)
        operator, session = await _let_in(request, services, sessions, who)
    except SignInFailed as failed:
        return _refused(request, services, sessions, failed)
    log = structlog.get_logger("shoal.console")
    log.info("signed in elsewhere", operator=operator.name, address=caller(request, services))
    cookies = [session_cookie(request, services, sessions, session)]
    answer = Redirect(safe_next(attempt.next), status_code=303, cookies=cookies)
    answer.set_cookie(no_cookie(request, services, COOKIE))
    return answer


def _attempt(request: Request[Any, Session | None, Any], services: ConsoleServices, sessions: Sessions) -> Attempt:
    """What this very browser began. Raises SignInFailed."""
    state = request.query_params.get("state", "")
    sealed = cookie_value(request, services, COOKIE)
    kept = None if request.auth is None else sessions.opened(request.auth, COOKIE, sealed)
    attempt = None if kept is None else msgspec.json.decode(kept, type=Attempt)
    if (
        attempt is None
        or attempt.until < sessions.now
        or not hmac.compare_digest(attempt.state.encode(), state.encode())
    ):
        raise SignInFailed(AGAIN)
    return attempt


def _code(request: Request[Any, Any, Any]) -> str:
    """What the provider gave for us. Raises SignInFailed, in its words, where it gave nothing."""
    said: dict[str, str] = dict(request.query_params.multi_items())
    code = said.get("code", "")
    if not code:
        words = said.get("error_description") or said.get("error") or "it does not say why"
        raise SignInFailed(f"The provider signed nobody in: {words[:200]}.")
    return code


async def _let_in(
    request: Request[Any, Any, Any], services: ConsoleServices, sessions: Sessions, who: Outsider
) -> tuple[OperatorInfo, Session]:
    """The operator whom they are, and their session. Raises SignInFailed."""
    try:
        async with services.database.transaction() as db_session:
            actor = Actor(f"oidc:{who.name}", caller(request, services))
            operator = await admit_outsider(db_session, actor, who)
    except (Conflict, NotFound, RequestError) as error:
        raise SignInFailed(error.message, 403) from error
    session = await begin(request, services, sessions, operator)
    if session is None:
        raise SignInFailed(AGAIN)
    return operator, session


def _redirect_uri(request: Request[Any, Any, Any], services: ConsoleServices) -> str:
    base = services.settings.public_url or str(request.base_url)
    return f"{base.rstrip('/')}{PREFIX}/sign-in/oidc/done"


def _refused(
    request: Request[Any, Session | None, Any], services: ConsoleServices, sessions: Sessions, failed: SignInFailed
) -> Response[Any]:
    session = request.auth or sessions.start()
    page = SignInPage(sessions.csrf_token(session), PREFIX, problem=failed.message, elsewhere=elsewhere_of(services))
    cookies = [session_cookie(request, services, sessions, session)]
    answer = Template(page.template, context={"page": page}, status_code=failed.status, cookies=cookies)
    answer.set_cookie(no_cookie(request, services, COOKIE))
    return answer


ROUTES = (leave, come_back)
