"""The audit log: of everybody, or of one tenant. The model of a simple page: a list with filters, in pages."""

from collections.abc import Mapping, Sequence
from typing import Any

from litestar import get
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession

from admin_ui.access import needs
from admin_ui.contexts.audit import AuditLine, AuditPage, Change
from admin_ui.forms import Form
from admin_ui.heads import head_of
from admin_ui.navigation import PREFIX
from admin_ui.paging import PAGE, page_of
from admin_ui.visit import Answer, Visit, Visiting
from admin_ui.wording import value_text
from gateway.errors import NotFound
from gateway.services.register.audit import AuditEntry, EventFilter, list_events, list_tenant_events
from gateway.services.register.tenants import TenantInfo, find_tenant, tenant_names

ABOUT = ("tenant", "key", "grant", "quota", "model", "alias", "upstream", "operator", "token", "session")
"""The kinds of things that events are about."""
FIELDS = ("about", "actor", "target", "from", "until")


@get("/audit", opt=needs("fleet.look"))
async def show_log(visit: Visiting) -> Answer:
    """Every change."""
    return await _log(visit, None)


@get("/tenants/{tenant:str}/audit", opt=needs("tenant.look"))
async def show_tenant_log(visit: Visiting, tenant: FromPath[str]) -> Answer:
    """Every change of one tenant and what belongs to it."""
    return await _log(visit, tenant)


async def _log(visit: Visit, tenant_id: str | None) -> Answer:
    query = visit.query
    filters = Form.showing({name: query.get(name, "") for name in FIELDS})
    only = EventFilter(
        actor=filters.text("actor", optional=True) or None,
        about=filters.one_of("about", ("", *ABOUT)) or None,
        target=filters.text("target", optional=True) or None,
        start=filters.day("from"),
        end=filters.day("until", end=True),
    )
    before = int(after) if (after := query.get("after", "")).isdecimal() and len(after) < 19 else None
    entries: Sequence[AuditEntry] = ()
    async with visit.reading() as session:
        found = None if tenant_id is None else await _tenant(session, tenant_id)
        if filters.ok and tenant_id is None:
            entries = await list_events(session, before=before, limit=PAGE + 1, only=only)
        elif filters.ok and tenant_id is not None:
            entries = await list_tenant_events(session, tenant_id, before=before, limit=PAGE + 1, only=only)
        named = {place for entry in entries for place in (entry.target, entry.tenant_id) if place is not None}
        names = await tenant_names(session, named)
    here = f"{PREFIX}/audit" if tenant_id is None else f"{PREFIX}/tenants/{tenant_id}/audit"
    shown, pager = page_of(entries, here, query, position=lambda entry: str(entry.id))
    page = AuditPage(
        here=here,
        filters=filters,
        filtered=any(query.get(name) for name in FIELDS),
        actions=ABOUT,
        of_fleet=tenant_id is None,
        head=None if found is None else head_of(visit, found, "/audit"),
        lines=tuple(_line(entry, names) for entry in shown),
        pager=pager,
    )
    return visit.page(page, status=filters.status)


async def _tenant(session: AsyncSession, tenant_id: str) -> TenantInfo | None:
    """Whose log it is; one that was deleted still has it."""
    try:
        return await find_tenant(session, tenant_id)
    except NotFound:
        return None


def _line(entry: AuditEntry, names: Mapping[str, str]) -> AuditLine:
    return AuditLine(
        id=entry.id,
        time=entry.time,
        actor=entry.actor,
        origin=entry.origin,
        action=entry.action,
        target=names.get(entry.target, entry.target),
        target_url=f"{PREFIX}/tenants/{entry.target}" if entry.target in names else None,
        tenant=None if entry.tenant_id is None else names.get(entry.tenant_id, entry.tenant_id),
        tenant_id=entry.tenant_id,
        changes=changes(entry.before, entry.after),
    )


def changes(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> Sequence[Change]:
    """What differs, by name."""
    old, new = before or {}, after or {}
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    found = (Change(name, _value(old, name), _value(new, name)) for name in names)
    return tuple(change for change in found if change.before != change.after)


def _value(values: Mapping[str, Any], name: str) -> str | None:
    value = values.get(name)
    if isinstance(value, Mapping):  # of many facts, those that there are
        value = {fact: known for fact, known in value.items() if known not in (None, [], {}, False)} or None
    return None if value is None else value_text(value)


ROUTES = (show_log, show_tenant_log)
