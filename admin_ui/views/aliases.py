"""Aliases: what a tenant calls models by names of its own. Admins set them, since they know every model."""

from litestar import get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from admin_ui.access import needs
from admin_ui.aliases import FIELDS, alias_url, aliases_url, meaning_of, read_alias, read_model
from admin_ui.contexts.aliases import AliasesPage, AliasLine, AliasPage, AliasRemovalPage
from admin_ui.forms import Form
from admin_ui.heads import head_of
from admin_ui.models import model_url
from admin_ui.visit import Answer, Visit, Visiting
from gateway.services.access.roles import RIGHTS
from gateway.services.register.aliases import list_aliases, remove_alias, set_alias
from gateway.services.register.tenants import TenantInfo, find_tenant


@get("/tenants/{tenant:str}/aliases", opt=needs("tenant.look"))
async def show_aliases(visit: Visiting, tenant: FromPath[str]) -> Answer:
    """All of them by name, and the form for another."""
    return await _show(visit, tenant, None)


@post("/tenants/{tenant:str}/aliases", opt=needs("fleet.change"))
async def add_alias(visit: Visiting, tenant: FromPath[str]) -> Answer:
    """Let one more name mean a model; one that does already is changed on its own page."""
    form = await visit.form()
    alias, model = read_alias(form), await read_model(visit, form)
    if form.ok:
        with form.catching(FIELDS):
            async with visit.changing() as session:
                owner = await find_tenant(session, tenant)
                meant = await meaning_of(session, owner.id, alias)
                if meant is None or form.version not in (None, owner.version):  # who saw less than there is, is told so
                    made = await set_alias(session, visit.actor, owner.id, alias, model, version=form.version)
                else:
                    form.refuse("alias", f"It means {meant} already; change that one.")
            if form.ok:
                return visit.done(aliases_url(owner.id), f"To {owner.name}, {made.alias} is {made.model_id} now.")
    return await _show(visit, tenant, form)


@get("/tenants/{tenant:str}/aliases/at/{alias:path}", opt=needs("fleet.change"))
async def show_alias(visit: Visiting, tenant: FromPath[str], alias: FromPath[str]) -> Answer:
    """The form for another meaning."""
    owner, name, model = await _find(visit, tenant, alias)
    return _change(visit, owner, name, model, Form.showing({"model": model}, version=owner.version))


@post("/tenants/{tenant:str}/aliases/at/{alias:path}", opt=needs("fleet.change"))
async def repoint_alias(visit: Visiting, tenant: FromPath[str], alias: FromPath[str]) -> Answer:
    """Let the name mean another model."""
    form = await visit.form()
    owner, name, saved = await _find(visit, tenant, alias)
    model = await read_model(visit, form)
    if form.ok:
        with form.catching(FIELDS):
            async with visit.changing() as session:
                made = await set_alias(session, visit.actor, owner.id, name, model, version=form.version)
            return visit.done(aliases_url(owner.id), f"To {owner.name}, {made.alias} is {made.model_id} now.")
    if form.conflict:
        owner, name, saved = await _find(visit, tenant, alias)
        form.now_at(owner.version)
    return _change(visit, owner, name, saved, form)


@get("/tenants/{tenant:str}/aliases/removal/{alias:path}", opt=needs("fleet.change"))
async def ask_alias_removal(visit: Visiting, tenant: FromPath[str], alias: FromPath[str]) -> Answer:
    """Ask once more."""
    owner, name, model = await _find(visit, tenant, alias)
    return _removal(visit, owner, name, model, Form.showing({}, version=owner.version))


@post("/tenants/{tenant:str}/aliases/removal/{alias:path}", opt=needs("fleet.change"))
async def remove(visit: Visiting, tenant: FromPath[str], alias: FromPath[str]) -> Answer:
    """Forget it."""
    form = await visit.form()
    owner, name, model = await _find(visit, tenant, alias)
    with form.catching():
        async with visit.changing() as session:
            await remove_alias(session, visit.actor, owner.id, name, version=form.version)
        return visit.done(aliases_url(owner.id), f"{owner.name} no longer calls {model} {name}.")
    if form.conflict:
        owner, name, model = await _find(visit, tenant, alias)
        form.now_at(owner.version)
    return _removal(visit, owner, name, model, form)


async def _find(visit: Visit, tenant: str, alias: str) -> tuple[TenantInfo, str, str]:
    """The tenant, the name, and what it means."""
    name = alias.lstrip("/")
    async with visit.reading() as session:
        owner = await find_tenant(session, tenant)
        model = await meaning_of(session, owner.id, name)
    if model is None:
        raise NotFoundException
    return owner, name, model


async def _show(visit: Visit, tenant: str, form: Form | None) -> Answer:
    async with visit.reading() as session:
        owner = await find_tenant(session, tenant)
        aliases = await list_aliases(session, owner.id)
    if form is None:
        form = Form.showing({"alias": "", "model": ""}, version=owner.version)
    elif form.conflict:
        form.now_at(owner.version)
    fleet = "fleet.look" in RIGHTS[visit.operator.role]
    lines = [
        AliasLine(
            one.alias,
            one.model_id,
            model_url(one.model_id) if fleet else None,
            alias_url(owner.id, one.alias),
            alias_url(owner.id, one.alias, "removal"),
        )
        for one in aliases
    ]
    page = AliasesPage(
        head=head_of(visit, owner, "/aliases"),
        here=aliases_url(owner.id),
        may_change="fleet.change" in RIGHTS[visit.operator.role],
        lines=tuple(lines),
        form=form,
        saved=next((one.model_id for one in aliases if one.alias == form.value("alias").strip()), ""),
    )
    return visit.page(page, status=form.status)


def _change(visit: Visit, owner: TenantInfo, alias: str, saved: str, form: Form) -> Answer:
    page = AliasPage(
        head=head_of(visit, owner, "/aliases"),
        alias=alias,
        here=alias_url(owner.id, alias),
        back=aliases_url(owner.id),
        form=form,
        saved=saved,
    )
    return visit.page(page, status=form.status)


def _removal(visit: Visit, owner: TenantInfo, alias: str, model: str, form: Form) -> Answer:
    page = AliasRemovalPage(
        head=head_of(visit, owner, "/aliases"),
        alias=alias,
        model=model,
        meant_otherwise=alias in visit.services.feed.current.models,
        here=alias_url(owner.id, alias, "removal"),
        back=aliases_url(owner.id),
        form=form,
    )
    return visit.page(page, status=form.status)


ROUTES = (show_aliases, add_alias, show_alias, repoint_alias, ask_alias_removal, remove)
