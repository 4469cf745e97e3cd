"""Which models a tenant or a key may use: the patterns, and what they match now, saved or only typed."""

from collections.abc import Sequence
from dataclasses import replace

from litestar import get, post
from litestar.params import FromPath

from admin_ui.access import needs
from admin_ui.contexts.allowlist import AllowlistPage, MatchedModel, Matches
from admin_ui.errors import LIVE
from admin_ui.fields import read_patterns, split_patterns
from admin_ui.forms import Form
from admin_ui.heads import head_of, key_head_of, key_url, tenant_url
from admin_ui.visit import Answer, Visit, Visiting
from gateway.services.access.roles import RIGHTS
from gateway.services.register.grants import GrantInfo, list_grants, set_grants
from gateway.services.register.keys import KeyInfo, find_key
from gateway.services.register.tenants import TenantInfo, find_tenant
from gateway.services.snapshot.reach import models_granted

SHOWN = 100
"""Models that the page lists."""


@get("/tenants/{tenant:str}/models", opt=needs("tenant.look"))
async def show_allowlist(visit: Visiting, tenant: FromPath[str]) -> Answer:
    """What the tenant may use."""
    return await _show(visit, tenant, None)


@post("/tenants/{tenant:str}/models", opt=needs("fleet.change"))
async def change_allowlist(visit: Visiting, tenant: FromPath[str]) -> Answer:
    """Save the patterns, or look at what they would match."""
    return await _change(visit, tenant, None)


@get("/tenants/{tenant:str}/keys/{key:str}/models", opt=needs("tenant.look"))
async def show_key_allowlist(visit: Visiting, tenant: FromPath[str], key: FromPath[str]) -> Answer:
    """What narrows a key below its tenant."""
    return await _show(visit, tenant, key)


@post("/tenants/{tenant:str}/keys/{key:str}/models", opt=needs("tenant.change"))
async def change_key_allowlist(visit: Visiting, tenant: FromPath[str], key: FromPath[str]) -> Answer:
    """Save the patterns, or look at what they would match."""
    return await _change(visit, tenant, key)


async def _change(visit: Visit, tenant: str, key: str | None) -> Answer:
    form = await visit.form()
    if form.value("preview"):
        return await _show(visit, tenant, key, form)
    allow, deny = read_patterns(form, "allow"), read_patterns(form, "deny")
    for pattern in deny:
        if pattern in allow:
            form.refuse("deny", f"{pattern} is allowed above, too; it can be only one of both.")
    if form.ok:
        with form.catching():
            wanted = {**dict.fromkeys(allow, False), **dict.fromkeys(deny, True)}
            async with visit.changing() as session:
                found = await find_tenant(session, tenant)
                gone = await set_grants(session, visit.actor, found.id, wanted, key=key, version=form.version)
            if any(grant.widened for grant in gone) and not allow:
                text = "Saved. The key is kept to no list any more: what its tenant may use, it may use too"
                text += ", but for what is denied." if deny else "."
                return visit.done(_here(found.id, key), text, "bad")
            return visit.done(_here(found.id, key), "The models are saved.")
    return await _show(visit, tenant, key, form)


async def _show(visit: Visit, tenant: str, key: str | None, form: Form | None = None) -> Answer:
    async with visit.reading() as session:
        found = await find_tenant(session, tenant)
        its_key = None if key is None else await find_key(session, key, tenant=found.id)
        grants = await list_grants(session, found.id)
    key_id = None if its_key is None else its_key.id
    own = [grant for grant in grants if grant.key_id == key_id]
    of_tenant = [grant for grant in grants if grant.key_id is None]
    allow, deny = _text(own, deny=False), _text(own, deny=True)
    version = found.version if its_key is None else its_key.version
    preview = form is not None and bool(form.value("preview"))
    if form is None:
        form = Form.showing({"allow": allow, "deny": deny}, version=version)
        matches = matches_of(visit, of_tenant, None if its_key is None else own)
    else:
        if form.conflict:
            form.now_at(version)
        matches = _typed(visit, form, found, its_key, of_tenant)
    if preview and LIVE in visit.request.headers:
        return visit.part(matches)
    ended = its_key is not None and its_key.revoked_at is not None
    page = AllowlistPage(
        head=head_of(visit, found, "/models" if key is None else "/keys"),
        key=None if its_key is None else key_head_of(its_key),
        here=_here(found.id, key_id),
        may_change=("fleet.change" if key is None else "tenant.change") in RIGHTS[visit.operator.role] and not ended,
        form=form,
        saved_allow=allow,
        saved_deny=deny,
        preview=preview or not form.ok,
        matches=matches,
    )
    return visit.page(page, status=form.status)


def matches_of(
    visit: Visit, tenant: Sequence[GrantInfo], key: Sequence[GrantInfo] | None = None, wrong: Sequence[str] = ()
) -> Matches:
    """What a tenant's patterns match or, with a key's, what that key may use.

    A tenant's own operator learns nothing of models beyond those that the tenant may use: not how many there are, nor
    whether a pattern would match one.
    """
    models = visit.services.feed.current.models
    of_fleet = visit.operator.tenant_id is None
    found = models_granted(models, tenant, key or ())
    if key is not None:
        idle = [grant.pattern for grant in key if not models_granted(models, tenant, [replace(grant, deny=False)])]
    elif of_fleet:
        idle = [grant.pattern for grant in tenant if not models_granted(models, [replace(grant, deny=False)])]
    else:
        idle = []
    return Matches(
        models=tuple(MatchedModel(model.id, model.aliases) for model in found[:SHOWN]),
        count=len(found),
        registered=sum(name == model.id for name, model in models.items()) if of_fleet else None,
        wrong=wrong,
        idle=idle,
    )


def _typed(
    visit: Visit, form: Form, tenant: TenantInfo, key: KeyInfo | None, of_tenant: Sequence[GrantInfo]
) -> Matches:
    allow, not_allow = split_patterns(form.lines("allow"))
    deny, not_deny = split_patterns(form.lines("deny"))
    key_id = None if key is None else key.id
    typed = [GrantInfo(tenant.id, key_id, pattern, deny=False) for pattern in allow]
    typed += [GrantInfo(tenant.id, key_id, pattern, deny=True) for pattern in deny]
    wrong = (*not_allow, *not_deny)
    return matches_of(visit, typed, None, wrong) if key is None else matches_of(visit, of_tenant, typed, wrong)


def _text(grants: Sequence[GrantInfo], *, deny: bool) -> str:
    return "\n".join(grant.pattern for grant in grants if grant.deny == deny)


def _here(tenant_id: str, key_id: str | None) -> str:
    return tenant_url(tenant_id, "/models") if key_id is None else key_url(tenant_id, key_id, "/models")


ROUTES = (show_allowlist, change_allowlist, show_key_allowlist, change_key_allowlist)
