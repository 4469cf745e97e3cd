"""Signing in and out."""

from math import ceil
from typing import Annotated, Any

import msgspec
import structlog
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromQuery, SkipValidation
from litestar.response import Redirect, Template

from admin_ui.access import PUBLIC, needs
from admin_ui.address import caller, elsewhere_of
from admin_ui.contexts.frame import HeldForm, SignInPage
from admin_ui.cookies import no_cookie, session_cookie
from admin_ui.held import go_on
from admin_ui.navigation import PREFIX
from admin_ui.ports import ConsoleServices
from admin_ui.sessions import COOKIE, Session, Sessions
from admin_ui.throttle import SignInThrottle
from admin_ui.visit import shell_of
from admin_ui.ways import safe_next
from gateway.services.access import operators
from gateway.services.access.operators import OperatorInfo
from gateway.services.access.sessions import begin_session
from gateway.services.access.sessions import sign_out as end_own_session
from gateway.services.register.names import known_spelling

WRONG = "That name and password do not belong together."


class SignInForm(msgspec.Struct):
    """What the form sends."""

    name: str = ""
    password: str = ""
    next: str = PREFIX
    held_action: str = ""
    held_fields: str = ""

    @property
    def held(self) -> HeldForm | None:
        """The form that ended here."""
        action = safe_next(self.held_action) if self.held_action else PREFIX
        return None if action == PREFIX else HeldForm(action, self.held_fields)


@get("/sign-in", opt=PUBLIC)
async def show_sign_in(
    request: Request[Any, Session | None, Any],
    services: NamedDependency[SkipValidation[ConsoleServices]],
    sessions: NamedDependency[SkipValidation[Sessions]],
    next: FromQuery[str] = PREFIX,  # noqa: A002 - the name in the URL
) -> Template:
    """The form, in the browser's session or a new visitor's."""
    session = request.auth or sessions.start()
    page = SignInPage(sessions.csrf_token(session), safe_next(next), elsewhere=elsewhere_of(services))
    return Template(
        page.template, context={"page": page}, cookies=[session_cookie(request, services, sessions, session)]
    )


@post("/sign-in", opt=PUBLIC)
async def sign_in(
    request: Request[Any, Session, Any],
    data: Annotated[SignInForm, Body(media_type=RequestEncodingType.URL_ENCODED)],
    services: NamedDependency[SkipValidation[ConsoleServices]],
    sessions: NamedDependency[SkipValidation[Sessions]],
    throttle: NamedDependency[SkipValidation[SignInThrottle]],
) -> Response[Any]:
    """Check name and password, and start the operator's session."""
    address = caller(request, services)
    name = known_spelling(data.name) or ""
    # A refused name is not logged: people type their password there.
    log = structlog.get_logger("shoal.console").bind(address=address)
    if wait := await throttle.admit(name, address):
        log.warning("sign-in throttled")
        return _again(request, services, sessions, data, 429, f"Too many tries. Try again in {ceil(wait)} s.", wait)
    async with throttle.checking, services.database.reading() as db_session:
        operator = await operators.verify_operator(db_session, name, data.password)
    session = None if operator is None else await begin(request, services, sessions, operator)
    if operator is None or session is None:
        log.warning("sign-in refused")
        return _again(request, services, sessions, data, 401, WRONG)
    await throttle.forgive(name, address)
    log.info("signed in", operator=operator.name)
    cookies = [session_cookie(request, services, sessions, session)]
    if data.held is None:
        return Redirect(safe_next(data.next), status_code=303, cookies=cookies)
    request.scope["auth"], request.scope["user"] = session, operator
    page = go_on(data.held)
    shell = shell_of(request, services, sessions, None)
    return Template(page.template, context={"page": page, "shell": shell}, cookies=cookies)


@post("/sign-out", opt=needs("own.look"))
async def sign_out(
    request: Request[Any, Session, Any],
    services: NamedDependency[SkipValidation[ConsoleServices]],
    sessions: NamedDependency[SkipValidation[Sessions]],
) -> Response[Any]:
    """End the session on every gateway and for every copy of its cookie."""
    async with services.database.transaction() as db_session:
        await end_own_session(db_session, request.auth.id, sessions.now)
    answer: Response[Any] = Redirect(f"{PREFIX}/sign-in", status_code=303)
    answer.set_cookie(no_cookie(request, services, COOKIE))
    return answer


async def begin(
    request: Request[Any, Any, Any], services: ConsoleServices, sessions: Sessions, operator: OperatorInfo
) -> Session | None:
    """A new session of the operator; None where they were changed while their password was looked at."""
    session = sessions.start(operator.name)
    async with services.database.transaction() as db_session:
        begun = await begin_session(
            db_session,
            operator,
            session.id,
            start=sessions.now,
            end=session.expires,
            address=caller(request, services),
            agent=request.headers.get("user-agent", ""),
        )
    return session if begun else None


def _again(
    request: Request[Any, Session, Any],
    services: ConsoleServices,
    sessions: Sessions,
    data: SignInForm,
    status: int,
    problem: str,
    wait: float | None = None,
) -> Response[Any]:
    page = SignInPage(
        csrf_token=sessions.csrf_token(request.auth),
        next=safe_next(data.next),
        name=data.name[:100],
        problem=problem,
        held=data.held,
        elsewhere=elsewhere_of(services),
    )
    headers = {"retry-after": str(ceil(wait))} if wait else {}
    return Template(page.template, context={"page": page}, status_code=status, headers=headers)


ROUTES = (show_sign_in, sign_in, sign_out)
