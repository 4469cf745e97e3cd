"""Operator tokens: made, shown once, and revoked."""

from litestar import get, post
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession

from admin_ui.access import needs
from admin_ui.contexts.operators import NewTokenPage, TokenMadePage, TokenRevocationPage
from admin_ui.fields import read_expiry, read_name
from admin_ui.forms import Form
from admin_ui.people import operator_head, operator_url
from admin_ui.snippets import gateway_address
from admin_ui.visit import Answer, Visit, Visiting
from gateway.errors import NotFound
from gateway.services.access.operator_tokens import TokenInfo, create_token, find_token, revoke_token
from gateway.services.access.operators import OperatorInfo, find_operator


@get("/operators/at/{operator:str}/tokens/new", opt=needs("fleet.change"))
async def new_token(visit: Visiting, operator: FromPath[str]) -> Answer:
    """The form for another one."""
    return await _new(visit, operator, Form.showing({"name": "", "expires": "90d", "read_only": False}))


@post("/operators/at/{operator:str}/tokens", opt=needs("fleet.change"))
async def make_token(visit: Visiting, operator: FromPath[str]) -> Answer:
    """Make it, and show it: this answer is the only place where it stands."""
    form = await visit.form()
    name, expires_at, read_only = read_name(form, "token"), read_expiry(form), form.ticked("read_only")
    if form.ok:
        with form.catching({"expires_at": "expires"}):
            async with visit.changing() as session:
                info = await _operator(session, operator)
                made = await create_token(
                    session, visit.actor, info.name, name=name, expires_at=expires_at, read_only=read_only
                )
            url = gateway_address(visit.services.settings.public_url or str(visit.request.base_url))
            page = TokenMadePage(
                head=operator_head(visit, info),
                name=made.name,
                text=made.token,
                read_only=made.read_only,
                expires_at=made.expires_at,
                example=f'curl {url}/admin/api/v1/tenants \\\n  -H "Authorization: Bearer {made.token}"',
            )
            return visit.page(page, status=201)
    return await _new(visit, operator, form)


@get("/operators/at/{operator:str}/tokens/{token:str}/revocation", opt=needs("fleet.change"))
async def ask_token_revocation(visit: Visiting, operator: FromPath[str], token: FromPath[str]) -> Answer:
    """Ask once more."""
    return await _revocation(visit, operator, token, None)


@post("/operators/at/{operator:str}/tokens/{token:str}/revocation", opt=needs("fleet.change"))
async def revoke(visit: Visiting, operator: FromPath[str], token: FromPath[str]) -> Answer:
    """Refuse it from now on, for ever."""
    form = await visit.form()
    with form.catching():
        async with visit.changing() as session:
            _, info = await _find(session, operator, token)
            await revoke_token(session, visit.actor, info.id)
        return visit.done(operator_url(operator), f"The token {info.name} is revoked.")
    return await _revocation(visit, operator, token, form)


async def _operator(session: AsyncSession, name: str) -> OperatorInfo:
    found = await find_operator(session, name)
    if found is None:
        raise NotFound("No operator is called so.")
    return found


async def _find(session: AsyncSession, operator: str, token: str) -> tuple[OperatorInfo, TokenInfo]:
    owner, found = await _operator(session, operator), await find_token(session, token)
    if found.operator != owner.name:
        raise NotFound(f"{owner.name} has no such token.")
    return owner, found


async def _new(visit: Visit, operator: str, form: Form) -> Answer:
    async with visit.reading() as session:
        info = await _operator(session, operator)
    return visit.page(NewTokenPage(operator_head(visit, info), form), status=form.status)


async def _revocation(visit: Visit, operator: str, token: str, form: Form | None) -> Answer:
    async with visit.reading() as session:
        owner, found = await _find(session, operator, token)
    problem = None if form is None else form.error()
    page = TokenRevocationPage(operator_head(visit, owner), found, problem)
    return visit.page(page, status=200 if form is None else form.status)


ROUTES = (new_token, make_token, ask_token_revocation, revoke)
