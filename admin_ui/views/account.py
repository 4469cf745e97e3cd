"""What is an operator's own: the password, and where they are signed in."""

from math import ceil

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, SkipValidation

from admin_ui.access import SignInNeeded, needs
from admin_ui.address import caller
from admin_ui.contexts.operators import AccountPage
from admin_ui.cookies import session_cookie
from admin_ui.forms import NEEDED, Form
from admin_ui.people import ACCOUNT, session_lines
from admin_ui.throttle import SignInThrottle
from admin_ui.views.sign_in import begin
from admin_ui.visit import Answer, Visit, Visiting
from gateway.services.access.operators import (
    LONGEST_PASSWORD,
    SHORTEST_PASSWORD,
    find_operator,
    set_password,
    verify_operator,
)
from gateway.services.access.sessions import end_sessions, list_sessions

FIELDS = ("current_password", "password", "password_again")


@get("/account", opt=needs("own.look"))
async def show_account(visit: Visiting) -> Answer:
    """Password and sessions."""
    return await _account(visit, Form.showing(dict.fromkeys(FIELDS, "")))


@post("/account/password", opt=needs("own.look"))
async def change_password(visit: Visiting, throttle: NamedDependency[SkipValidation[SignInThrottle]]) -> Answer:
    """Another password, if the old one is right; every session of theirs ends, and this browser gets a new one."""
    form = await visit.form()
    current, password, again = (form.value(name) for name in FIELDS)
    if not current:
        form.refuse("current_password", NEEDED)
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        form.refuse("password", f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters.")
    elif password == current:
        form.refuse("password", "This is the password that you have.")
    if again != password:
        form.refuse("password_again", "This is not the same.")
    if form.ok:
        await _verify(visit, throttle, form, current)
    if form.ok:
        with form.catching():
            async with visit.changing() as session:
                await set_password(session, visit.actor, visit.operator.name, password=password)
                you = await find_operator(session, visit.operator.name)
            begun = None if you is None else await begin(visit.request, visit.services, visit.sessions, you)
            if begun is None:  # somebody changed or removed them meanwhile
                raise SignInNeeded
            visit.request.scope["auth"] = begun
            answer = visit.done(ACCOUNT, "Your password is changed. Everywhere else you are signed out.")
            answer.set_cookie(session_cookie(visit.request, visit.services, visit.sessions, begun))
            return answer
    return await _account(visit, form)


@post("/account/sessions/end", opt=needs("own.look"))
async def end_others(visit: Visiting) -> Answer:
    """Sign out everywhere else."""
    async with visit.changing() as session:
        await end_sessions(session, visit.actor, visit.operator.name, but=visit.request.auth.id)
    return visit.done(ACCOUNT, "Everywhere else you are signed out.")


@post("/account/sessions/end/{ref:str}", opt=needs("own.look"))
async def end_own(visit: Visiting, ref: FromPath[str]) -> Answer:
    """End one of one's own sessions."""
    async with visit.changing() as session:
        await end_sessions(session, visit.actor, visit.operator.name, only=ref)
    return visit.done(ACCOUNT, "The session is ended.")


async def _verify(visit: Visit, throttle: SignInThrottle, form: Form, current: str) -> None:
    """Refuse unless the old password is right; tries count as those of signing in do."""
    name, address = visit.operator.name, caller(visit.request, visit.services)
    if wait := await throttle.admit(name, address):
        form.refuse("current_password", f"Too many tries. Try again in {ceil(wait)} s.")
        return
    async with throttle.checking, visit.reading() as session:
        known = await verify_operator(session, name, current)
    if known is None:
        form.refuse("current_password", "This is not your password.")
    else:
        await throttle.forgive(name, address)


async def _account(visit: Visit, form: Form) -> Answer:
    async with visit.reading() as session:
        sessions = await list_sessions(session, visit.operator.name, visit.sessions.now)
    you = visit.operator
    lines = session_lines(visit, sessions)
    page = AccountPage(ACCOUNT, you.role.replace("_", " "), you.outside, form, lines)
    return visit.page(page, status=form.status)


ROUTES = (show_account, change_password, end_others, end_own)
