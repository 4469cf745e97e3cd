"""Tenants: the list, one of them at a glance, and what makes, changes, suspends and deletes them."""

from datetime import UTC, datetime, timedelta

from litestar import get, post
from litestar.params import FromPath

from admin_ui.access import needs
from admin_ui.contexts.tenants import (
    DeletionPage,
    NewTenantPage,
    SuspensionPage,
    TenantLine,
    TenantPage,
    TenantSettingsPage,
    TenantsPage,
)
from admin_ui.fields import read_name, read_patterns
from admin_ui.forms import Form
from admin_ui.heads import head_of, tenant_url
from admin_ui.navigation import PREFIX
from admin_ui.paging import PAGE, page_of
from admin_ui.usage_lines import day_chart
from admin_ui.views.allowlist import matches_of
from admin_ui.views.keys import lines_of
from admin_ui.views.limits import limit_lines
from admin_ui.visit import Answer, Visit, Visiting
from gateway.services.register.grants import list_grants, set_grants
from gateway.services.register.keys import count_keys, list_keys
from gateway.services.register.quota_use import own_limits, with_use
from gateway.services.register.tenants import (
    LEAST_WEIGHT,
    MOST_WEIGHT,
    TenantInfo,
    create_tenant,
    delete_tenant,
    find_tenant,
    list_tenants,
    resume_tenant,
    suspend_tenant,
    update_tenant,
)
from gateway.services.usage.summary import recent_tokens, summarize_usage

HERE = f"{PREFIX}/tenants"
LANES = (("interactive", "Interactive: as each request asks for"), ("bulk", "Bulk: everything waits behind others"))
LANE_NAMES = tuple(name for name, _ in LANES)
GLANCE_DAYS = 30
GLANCE_KEYS = 5


@get("/tenants", opt=needs("fleet.look"))
async def show_tenants(visit: Visiting) -> Answer:
    """All of them by name, or those of a search."""
    q, after = visit.query.get("q", "").strip(), visit.query.get("after", "")
    async with visit.reading() as session:
        found = await list_tenants(session, after=after if after.isprintable() else "", limit=PAGE + 1, like=q)
        shown, pager = page_of(found, HERE, visit.query, position=lambda tenant: tenant.name)
        ids = [tenant.id for tenant in shown]
        keys = await count_keys(session, ids)
        tokens = await recent_tokens(session, ids, datetime.now(UTC) - timedelta(days=1))
    lines = tuple(TenantLine(tenant, keys.get(tenant.id, 0), tokens.get(tenant.id, 0)) for tenant in shown)
    return visit.page(TenantsPage(here=HERE, q=q, lines=lines, pager=pager))


@get("/tenants/new", opt=needs("fleet.change"))
async def new_tenant(visit: Visiting) -> Answer:
    """The form for another one."""
    form = Form.showing({"name": "", "allow": "*", "lane": LANE_NAMES[0], "weight": "1"})
    return visit.page(NewTenantPage(form, LANES))


@post("/tenants", opt=needs("fleet.change"))
async def make_tenant(visit: Visiting) -> Answer:
    """Make it, with what it may use."""
    form = await visit.form()
    name, allow = read_name(form, "tenant"), read_patterns(form, "allow")
    lane, weight = _served(form)
    if form.ok:
        with form.catching():
            async with visit.changing() as session:
                made = await create_tenant(session, visit.actor, name, lane=lane, weight=weight)
                await set_grants(session, visit.actor, made.id, dict.fromkeys(allow, False))
            return visit.done(tenant_url(made.id), f"{made.name} is there. Give it an API key to begin.")
    return visit.page(NewTenantPage(form, LANES), status=form.status)


@get("/tenants/{tenant:str}", opt=needs("tenant.look"))
async def show_tenant(visit: Visiting, tenant: FromPath[str]) -> Answer:
    """One tenant at a glance."""
    now = datetime.now(UTC)
    end = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    start = end - timedelta(days=GLANCE_DAYS)
    async with visit.reading() as session:
        found = await find_tenant(session, tenant)
        keys = await list_keys(session, found.id)
        own = await own_limits(session, found.id)
        grants = await list_grants(session, found.id)
        days = await summarize_usage(session, found.id, start=start, end=end, by="day")
    working = [line for line in lines_of(keys, now) if line.state == "active"]
    latest = sorted(working, key=lambda line: line.key.last_used_at or line.key.created_at, reverse=True)
    page = TenantPage(
        head=head_of(visit, found, ""),
        tenant=found,
        keys=latest[:GLANCE_KEYS],
        key_count=len(working),
        limits=limit_lines(await with_use(visit.services.quota, own), tenant_url(found.id, "/limits")),
        matches=matches_of(visit, [grant for grant in grants if grant.key_id is None]),
        tokens=day_chart(days, start, end),
        token_sum=sum(day.tokens for day in days),
        request_sum=sum(day.requests for day in days),
        days=GLANCE_DAYS,
    )
    return visit.page(page)


@get("/tenants/{tenant:str}/settings", opt=needs("fleet.change"))
async def show_settings(visit: Visiting, tenant: FromPath[str]) -> Answer:
    """Its name and how it is served."""
    found = await _find(visit, tenant)
    values = {"name": found.name, "lane": found.lane, "weight": f"{found.weight:g}"}
    return _settings(visit, found, Form.showing(values, version=found.version))


@post("/tenants/{tenant:str}/settings", opt=needs("fleet.change"))
async def change_settings(visit: Visiting, tenant: FromPath[str]) -> Answer:
    """Save them."""
    form = await visit.form()
    name = read_name(form, "tenant")
    lane, weight = _served(form)
    if form.ok:
        with form.catching():
            async with visit.changing() as session:
                changed = await update_tenant(
                    session, visit.actor, tenant, name=name, lane=lane, weight=weight, version=form.version
                )
            return visit.done(tenant_url(changed.id), "The settings are saved.")
    found = await _find(visit, tenant)
    if form.conflict:
        form.now_at(found.version)
    return _settings(visit, found, form)


@get("/tenants/{tenant:str}/suspension", opt=needs("fleet.change"))
async def ask_suspension(visit: Visiting, tenant: FromPath[str]) -> Answer:
    """Ask once more."""
    return await _suspension(visit, tenant, None)


@post("/tenants/{tenant:str}/suspension", opt=needs("fleet.change"))
async def suspend(visit: Visiting, tenant: FromPath[str]) -> Answer:
    """Refuse all of its requests."""
    form = await visit.form()
    with form.catching():
        async with visit.changing() as session:
            found = await suspend_tenant(session, visit.actor, tenant, version=form.version)
        return visit.done(tenant_url(found.id), f"{found.name} is suspended: its requests are refused.")
    return await _suspension(visit, tenant, form)


@post("/tenants/{tenant:str}/resumption", opt=needs("fleet.change"))
async def resume(visit: Visiting, tenant: FromPath[str]) -> Answer:
    """Serve it again."""
    async with visit.changing() as session:
        found = await resume_tenant(session, visit.actor, tenant)
    return visit.done(tenant_url(found.id), f"{found.name} is served again.")


@get("/tenants/{tenant:str}/deletion", opt=needs("fleet.change"))
async def ask_deletion(visit: Visiting, tenant: FromPath[str]) -> Answer:
    """Ask for its name."""
    found = await _find(visit, tenant)
    return await _deletion(visit, found, Form.showing({"confirm": ""}, version=found.version))


@post("/tenants/{tenant:str}/deletion", opt=needs("fleet.change"))
async def delete(visit: Visiting, tenant: FromPath[str]) -> Answer:
    """Forget it, if its name was typed."""
    form = await visit.form()
    found = await _find(visit, tenant)
    form.repeats("confirm", found.name)
    if form.ok:
        with form.catching():
            async with visit.changing() as session:
                await delete_tenant(session, visit.actor, found.id, version=form.version)
            return visit.done(HERE, f"{found.name} is deleted. What it used and the audit log stay.")
    if form.conflict:
        found = await _find(visit, tenant)
        form.now_at(found.version)
    return await _deletion(visit, found, form)


async def _find(visit: Visit, tenant: str) -> TenantInfo:
    async with visit.reading() as session:
        return await find_tenant(session, tenant)


def _served(form: Form) -> tuple[str, float]:
    lane = form.one_of("lane", LANE_NAMES)
    weight = form.number("weight", at_least=LEAST_WEIGHT, at_most=MOST_WEIGHT)
    return lane, 1.0 if weight is None else weight


def _settings(visit: Visit, found: TenantInfo, form: Form) -> Answer:
    page = TenantSettingsPage(head_of(visit, found, ""), form, LANES, found)
    return visit.page(page, status=form.status)


async def _suspension(visit: Visit, tenant: str, form: Form | None) -> Answer:
    async with visit.reading() as session:
        found = await find_tenant(session, tenant)
        keys = await count_keys(session, [found.id])
    problem = None if form is None else form.error()
    page = SuspensionPage(head_of(visit, found, ""), found.version, keys.get(found.id, 0), problem)
    return visit.page(page, status=200 if form is None else form.status)


async def _deletion(visit: Visit, found: TenantInfo, form: Form) -> Answer:
    async with visit.reading() as session:
        keys = await count_keys(session, [found.id])
    return visit.page(DeletionPage(head_of(visit, found, ""), form, keys.get(found.id, 0)), status=form.status)


ROUTES = (
    show_tenants,
    new_tenant,
    make_tenant,
    show_tenant,
    show_settings,
    change_settings,
    ask_suspension,
    suspend,
    resume,
    ask_deletion,
    delete,
)
