"""Limits of a tenant, or of one of its keys: what is set, what is used of it, and the form that sets it."""

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from litestar import get, post
from litestar.params import FromPath

from admin_ui.access import needs
from admin_ui.contexts.limits import LimitField, LimitLine, LimitsPage
from admin_ui.forms import Form
from admin_ui.heads import head_of, key_head_of, key_url, tenant_url
from admin_ui.visit import Answer, Visit, Visiting
from gateway.services.access.roles import RIGHTS
from gateway.services.register.keys import find_key
from gateway.services.register.names import checked_pattern
from gateway.services.register.quota_use import own_limits, with_use
from gateway.services.register.quotas import LARGEST, QuotaInfo, check_amount, set_quota
from gateway.services.register.tenants import find_tenant

LABELS = {
    "requests": ("Requests per minute", "Up to so many at once; they come back over a minute."),
    "tokens": ("Tokens per minute", "Of the models' own count, not of characters."),
    "tokens_per_month": ("Tokens per month", "From the first of a month to its end, UTC."),
    "concurrency": ("Requests at one time", "Under way together."),
}
EVERY = "*"


@get("/tenants/{tenant:str}/limits", opt=needs("tenant.look"))
async def show_limits(visit: Visiting, tenant: FromPath[str]) -> Answer:
    """Of the tenant with all of its keys."""
    return await _show(visit, tenant, None)


@post("/tenants/{tenant:str}/limits", opt=needs("fleet.change"))
async def change_limits(visit: Visiting, tenant: FromPath[str]) -> Answer:
    """Set or take away those of one pattern of models."""
    return await _change(visit, tenant, None)


@get("/tenants/{tenant:str}/keys/{key:str}/limits", opt=needs("tenant.look"))
async def show_key_limits(visit: Visiting, tenant: FromPath[str], key: FromPath[str]) -> Answer:
    """Of one key, beside those of its tenant."""
    return await _show(visit, tenant, key)


@post("/tenants/{tenant:str}/keys/{key:str}/limits", opt=needs("tenant.change"))
async def change_key_limits(visit: Visiting, tenant: FromPath[str], key: FromPath[str]) -> Answer:
    """Set or take away those of one pattern of models."""
    return await _change(visit, tenant, key)


async def _change(visit: Visit, tenant: str, key: str | None) -> Answer:
    form = await visit.form()
    pattern = form.text("model_pattern")
    if pattern:
        with form.catching({"pattern": "model_pattern"}):
            checked_pattern(pattern)
    amounts = {kind: form.whole(kind, at_least=-(2**70), at_most=2**70) for kind in LARGEST}
    for kind, amount in amounts.items():
        with form.catching():
            check_amount(kind, amount)
    if form.ok:
        with form.catching({"pattern": "model_pattern"}):
            async with visit.changing() as session:
                found = await find_tenant(session, tenant)
                await set_quota(
                    session, visit.actor, found.id, amounts, key=key, model_pattern=pattern, version=form.version
                )
            return visit.done(f"{_here(found.id, key)}", f"The limits on {_words(pattern)} are saved.")
    return await _show(visit, tenant, key, form)


async def _show(visit: Visit, tenant: str, key: str | None, form: Form | None = None) -> Answer:
    async with visit.reading() as session:
        found = await find_tenant(session, tenant)
        its_key = None if key is None else await find_key(session, key, tenant=found.id)
        own = await own_limits(session, found.id, key)
    infos = await with_use(visit.services.quota, own)
    here = _here(found.id, None if its_key is None else its_key.id)
    pattern = (visit.query.get("of") or EVERY) if form is None else form.value("model_pattern").strip()
    saved: dict[str, QuotaInfo] = {info.kind: info for info in infos if info.model_pattern == pattern}
    if form is None:
        values: dict[str, str] = {kind: f"{saved[kind].amount}" if kind in saved else "" for kind in LARGEST}
        form = Form.showing({"model_pattern": pattern, **values}, version=own.version)
    elif form.conflict:
        form.now_at(own.version)
    ended = its_key is not None and its_key.revoked_at is not None
    right = "fleet.change" if key is None else "tenant.change"
    page = LimitsPage(
        head=head_of(visit, found, "/limits" if key is None else "/keys"),
        key=None if its_key is None else key_head_of(its_key),
        here=here,
        may_change=right in RIGHTS[visit.operator.role] and not ended,
        lines=limit_lines(infos, here),
        form=form,
        fields=_fields(saved, here),
        known=all(info.used is not None for info in infos),
    )
    return visit.page(page, status=form.status)


def limit_lines(infos: Sequence[QuotaInfo], here: str) -> Sequence[LimitLine]:
    """How limits are shown; `here` is the address of their page."""
    order = {kind: place for place, kind in enumerate(LABELS)}
    ordered = sorted(infos, key=lambda info: (info.model_pattern != EVERY, info.model_pattern, order[info.kind]))
    return tuple(_line(info, here) for info in ordered)


def _line(info: QuotaInfo, here: str) -> LimitLine:
    return LimitLine(
        pattern=info.model_pattern,
        edit=f"{here}?of={quote(info.model_pattern, safe='')}#form",
        label=LABELS[info.kind][0],
        amount=info.amount,
        used=info.used,
        share=None if info.used is None else info.used / info.amount,
        capped_by=info.capped_by,
    )


def _fields(saved: Mapping[str, QuotaInfo], here: str) -> Sequence[LimitField]:
    return tuple(
        LimitField(
            name=kind,
            label=label,
            hint=hint,
            saved=f"{saved[kind].amount}" if kind in saved else "",
            line=_line(saved[kind], here) if kind in saved else None,
        )
        for kind, (label, hint) in LABELS.items()
    )


def _here(tenant_id: str, key_id: str | None) -> str:
    return tenant_url(tenant_id, "/limits") if key_id is None else key_url(tenant_id, key_id, "/limits")


def _words(pattern: str) -> str:
    return "all models" if pattern == EVERY else pattern


ROUTES = (show_limits, change_limits, show_key_limits, change_key_limits)
