"""Operators: listed, made, given another role or password, and removed."""

from litestar import get, post
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession

from admin_ui.access import needs
from admin_ui.contexts.operators import (
    NewOperatorPage,
    OperatorLine,
    OperatorPage,
    OperatorRemovalPage,
    OperatorsPage,
    PasswordResetPage,
    PasswordShownPage,
    RolePage,
)
from admin_ui.fields import read_name
from admin_ui.forms import WHOLE, Form
from admin_ui.paging import page_of
from admin_ui.people import ACCOUNT, OPERATORS, operator_head, operator_url, session_lines, token_lines
from admin_ui.visit import Answer, Visit, Visiting
from gateway.errors import NotFound
from gateway.services.access.operator_tokens import list_tokens
from gateway.services.access.operators import (
    OperatorInfo,
    create_operator,
    find_operator,
    list_operators,
    remove_operator,
    set_password,
    set_role,
)
from gateway.services.access.sessions import count_sessions, end_sessions, list_sessions
from gateway.services.register.tenants import tenant_names

ROLE_CHOICES = (
    ("viewer", "Viewer: looks at everything, changes nothing"),
    ("admin", "Admin: changes everything"),
    ("tenant_admin", "Tenant admin: runs one tenant, knows of no other"),
)
ROLE_NAMES = tuple(name for name, _ in ROLE_CHOICES)


@get("/operators", opt=needs("fleet.look"))
async def show_operators(visit: Visiting) -> Answer:
    """Everybody by name, or those of a search."""
    q, after = visit.query.get("q", "").strip(), visit.query.get("after", "")
    async with visit.reading() as session:
        found = await list_operators(session)
        sessions = await count_sessions(session, visit.sessions.now)
        tokens = token_lines(await list_tokens(session))
        names = await tenant_names(session, [one.tenant_id for one in found if one.tenant_id is not None])
    working: dict[str, int] = {}
    for line in tokens:
        if line.state == "active":
            working[line.info.operator] = working.get(line.info.operator, 0) + 1
    lines = [
        OperatorLine(
            info=one,
            url=operator_url(one.name),
            tenant=None if one.tenant_id is None else names.get(one.tenant_id),
            sessions=sessions.get(one.name, 0),
            tokens=working.get(one.name, 0),
            you=one.name == visit.operator.name,
        )
        for one in sorted(found, key=lambda one: one.name)  # as `after` is compared
        if one.name > after
    ]
    part = q.casefold()
    wanted = [line for line in lines if part in line.info.name.casefold() or part in (line.tenant or "").casefold()]
    shown, pager = page_of(wanted, OPERATORS, visit.query, position=lambda line: line.info.name)
    return visit.page(OperatorsPage(here=OPERATORS, q=q, lines=shown, pager=pager))


@get("/operators/new", opt=needs("fleet.change"))
async def new_operator(visit: Visiting) -> Answer:
    """The form for another one."""
    form = Form.showing({"name": "", "role": ROLE_NAMES[0], "tenant": visit.query.get("tenant", "")})
    return visit.page(NewOperatorPage(form, ROLE_CHOICES))


@post("/operators", opt=needs("fleet.change"))
async def make_operator(visit: Visiting) -> Answer:
    """Make one, and show the password: this answer is the only place where it stands."""
    form = await visit.form()
    name = read_name(form, "operator")
    role, tenant = _role(form)
    if form.ok:
        with form.catching():
            async with visit.changing() as session:
                made = await create_operator(session, visit.actor, name, role=role, tenant=tenant)
                head = operator_head(visit, await _find(session, made.name))
            return visit.page(PasswordShownPage(head, made.password), status=201)
    return visit.page(NewOperatorPage(form, ROLE_CHOICES), status=form.status)


@get("/operators/at/{operator:str}", opt=needs("fleet.look"))
async def show_operator(visit: Visiting, operator: FromPath[str]) -> Answer:
    """One of them."""
    async with visit.reading() as session:
        info = await _find(session, operator)
        tenant = await _tenant_name(session, info)
        sessions = await list_sessions(session, info.name, visit.sessions.now)
        tokens = await list_tokens(session, info.name)
    lines, held = session_lines(visit, sessions), token_lines(tokens)
    return visit.page(OperatorPage(operator_head(visit, info), info, tenant, lines, held))


@get("/operators/at/{operator:str}/role", opt=needs("fleet.change"))
async def ask_role(visit: Visiting, operator: FromPath[str]) -> Answer:
    """What they may do."""
    async with visit.reading() as session:
        info = await _find(session, operator)
        tenant = await _tenant_name(session, info) or ""
    return _show_role(visit, info, tenant, Form.showing({"role": info.role, "tenant": tenant}, version=info.version))


@post("/operators/at/{operator:str}/role", opt=needs("fleet.change"))
async def change_role(visit: Visiting, operator: FromPath[str]) -> Answer:
    """Save it: it holds for tokens at once, and ends open sessions."""
    form = await visit.form()
    async with visit.reading() as session:
        info = await _find(session, operator)
        saved_tenant = await _tenant_name(session, info) or ""
    role, tenant = _role(form)
    if info.name == visit.operator.name:
        form.refuse(WHOLE, "Nobody takes their own role away by a slip: ask another admin.")
    if form.ok:
        with form.catching():
            async with visit.changing() as session:
                await set_role(session, visit.actor, info.name, role=role, tenant=tenant, version=form.version)
            return visit.done(operator_url(info.name), f"{info.name} is {role.replace('_', ' ')} from now on.")
    if form.conflict:
        form.now_at(info.version)
    return _show_role(visit, info, saved_tenant, form)


@get("/operators/at/{operator:str}/password", opt=needs("fleet.change"))
async def ask_password_reset(visit: Visiting, operator: FromPath[str]) -> Answer:
    """Ask once more."""
    return await _reset(visit, operator, None)


@post("/operators/at/{operator:str}/password", opt=needs("fleet.change"))
async def reset_password(visit: Visiting, operator: FromPath[str]) -> Answer:
    """Make another, end every session begun by the old one, and show it once."""
    form = await visit.form()
    if operator == visit.operator.name:
        return visit.done(ACCOUNT, "Your own password you change here, with the old one.", "bad")
    with form.catching():
        async with visit.changing() as session:
            info = await _find(session, operator)
            made = await set_password(session, visit.actor, info.name, version=form.version)
        return visit.page(PasswordShownPage(operator_head(visit, info), made.password), status=201)
    return await _reset(visit, operator, form)


@get("/operators/at/{operator:str}/removal", opt=needs("fleet.change"))
async def ask_removal(visit: Visiting, operator: FromPath[str]) -> Answer:
    """Ask for the name."""
    async with visit.reading() as session:
        info = await _find(session, operator)
    return await _removal(visit, info, Form.showing({"confirm": ""}, version=info.version))


@post("/operators/at/{operator:str}/removal", opt=needs("fleet.change"))
async def remove(visit: Visiting, operator: FromPath[str]) -> Answer:
    """Forget them, if the name was typed."""
    form = await visit.form()
    async with visit.reading() as session:
        info = await _find(session, operator)
    form.repeats("confirm", info.name)
    if info.name == visit.operator.name:
        form.refuse(WHOLE, "Nobody removes themselves: ask another admin.")
    if form.ok:
        with form.catching():
            async with visit.changing() as session:
                await remove_operator(session, visit.actor, info.name, version=form.version)
            return visit.done(OPERATORS, f"{info.name} is removed, and out.")
    if form.conflict:
        form.now_at(info.version)
    return await _removal(visit, info, form)


@post("/operators/at/{operator:str}/sessions/end", opt=needs("fleet.change"))
async def end_all(visit: Visiting, operator: FromPath[str]) -> Answer:
    """Sign them out everywhere; of one's own, everywhere else."""
    async with visit.changing() as session:
        but = visit.request.auth.id if operator == visit.operator.name else None
        await end_sessions(session, visit.actor, operator, but=but)
    return visit.done(operator_url(operator), "The sessions are ended.")


@post("/operators/at/{operator:str}/sessions/end/{ref:str}", opt=needs("fleet.change"))
async def end_one(visit: Visiting, operator: FromPath[str], ref: FromPath[str]) -> Answer:
    """End one session of theirs."""
    async with visit.changing() as session:
        await end_sessions(session, visit.actor, operator, only=ref)
    return visit.done(operator_url(operator), "The session is ended.")


async def _find(session: AsyncSession, name: str) -> OperatorInfo:
    found = await find_operator(session, name)
    if found is None:
        raise NotFound("No operator is called so.")
    return found


async def _tenant_name(session: AsyncSession, info: OperatorInfo) -> str | None:
    return None if info.tenant_id is None else (await tenant_names(session, [info.tenant_id])).get(info.tenant_id)


def _role(form: Form) -> tuple[str, str | None]:
    """The role and, of a tenant admin, the tenant."""
    role, tenant = form.one_of("role", ROLE_NAMES), form.text("tenant", optional=True)
    if role == "tenant_admin" and not tenant:
        form.refuse("tenant", "A tenant admin is of one tenant: which, by name or id?")
    if role != "tenant_admin" and tenant:
        form.refuse("tenant", "Only a tenant admin is of one tenant; leave this empty, or choose that role.")
    return role, tenant or None


def _show_role(visit: Visit, info: OperatorInfo, tenant: str, form: Form) -> Answer:
    page = RolePage(operator_head(visit, info), form, ROLE_CHOICES, info.role, tenant)
    return visit.page(page, status=form.status)


async def _reset(visit: Visit, operator: str, form: Form | None) -> Answer:
    async with visit.reading() as session:
        info = await _find(session, operator)
        sessions = await list_sessions(session, info.name, visit.sessions.now)
    problem = None if form is None else form.error()
    page = PasswordResetPage(operator_head(visit, info), info.version, len(sessions), problem)
    return visit.page(page, status=200 if form is None else form.status)


async def _removal(visit: Visit, info: OperatorInfo, form: Form) -> Answer:
    async with visit.reading() as session:
        tokens = token_lines(await list_tokens(session, info.name))
    working = sum(line.state == "active" for line in tokens)
    return visit.page(OperatorRemovalPage(operator_head(visit, info), form, working), status=form.status)


ROUTES = (
    show_operators,
    new_operator,
    make_operator,
    show_operator,
    ask_role,
    change_role,
    ask_password_reset,
    reset_password,
    ask_removal,
    remove,
    end_all,
    end_one,
)
