"""What a model is called: by everybody, and by single tenants."""

from litestar import get, post
from litestar.params import FromPath

from admin_ui.access import needs
from admin_ui.aliases import FIELDS, alias_url, meaning_of, read_alias
from admin_ui.contexts.aliases import ModelNamesPage, TenantAlias
from admin_ui.forms import Form
from admin_ui.models import model_url
from admin_ui.views.models import find, head_of
from admin_ui.visit import Answer, Visit, Visiting
from gateway.services.register.aliases import aliases_of_model, set_alias
from gateway.services.register.models import ModelInfo
from gateway.services.register.tenants import find_tenant

SHOWN = 200
"""Tenants' names on the page."""


@get("/models/names/{model:path}", opt=needs("fleet.look"))
async def show_names(visit: Visiting, model: FromPath[str]) -> Answer:
    """All of them, and the form for a tenant's own."""
    found = await find(visit, model)
    return await _page(visit, found, Form.showing({"tenant": "", "alias": ""}))


@post("/models/names/{model:path}", opt=needs("fleet.change"))
async def add_name(visit: Visiting, model: FromPath[str]) -> Answer:
    """Let a tenant call the model so; what it calls another one so is changed on that tenant's page."""
    form, found = await visit.form(), await find(visit, model)
    tenant, alias = form.text("tenant"), read_alias(form)
    if tenant:
        with form.catching():
            async with visit.reading() as session:
                await find_tenant(session, tenant)
    if form.ok:
        with form.catching(FIELDS):
            async with visit.changing() as session:
                owner = await find_tenant(session, tenant)
                meant = await meaning_of(session, owner.id, alias)
                if meant is not None and meant != found.id:
                    form.refuse("alias", f"To {owner.name} it means {meant} already; change it on that tenant's page.")
                else:
                    await set_alias(session, visit.actor, owner.id, alias, found.id, version=owner.version)
            if form.ok:
                return visit.done(model_url(found.id, "names"), f"{owner.name} calls it {alias} now.")
    return await _page(visit, found, form)


async def _page(visit: Visit, model: ModelInfo, form: Form) -> Answer:
    async with visit.reading() as session:
        named = await aliases_of_model(session, model.id)
    page = ModelNamesPage(
        head=head_of(visit, model),
        everybody=model.aliases,
        settings=model_url(model.id, "settings"),
        lines=tuple(
            TenantAlias(
                tenant,
                one.alias,
                alias_url(one.tenant_id, one.alias),
                alias_url(one.tenant_id, one.alias, "removal"),
            )
            for tenant, one in named[:SHOWN]
        ),
        count=len(named),
        here=model_url(model.id, "names"),
        form=form,
    )
    return visit.page(page, status=form.status)


ROUTES = (show_names, add_name)
