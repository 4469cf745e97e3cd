"""What a tenant used: by day, model or key, from sums per day; never a look at single records."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from litestar import get
from litestar.params import FromPath
from litestar.response import Stream

from admin_ui.access import needs
from admin_ui.contexts.tenant import Tab
from admin_ui.contexts.usage import UsagePage
from admin_ui.forms import Form
from admin_ui.heads import head_of, key_url, tenant_url
from admin_ui.paging import address
from admin_ui.usage_lines import day_chart, total_of, usage_line
from admin_ui.visit import Answer, Visiting
from gateway.errors import RequestError
from gateway.services.register.keys import list_keys
from gateway.services.register.tenants import find_tenant
from gateway.services.usage.export import Format, Grain, export_usage
from gateway.services.usage.summary import By, UsageRow, summarize_usage

DAYS = 30
"""That are shown where nobody says otherwise."""
MOST_DAYS = 400
SHOWN = 100
VIEWS: Sequence[tuple[By, str]] = (("model", "By model"), ("key", "By key"), ("day", "By day"))
SPANS = (("7 days", 7), ("30 days", 30), ("90 days", 90), ("A year", 365))
MEDIA: Mapping[Format, str] = {"csv": "text/csv", "jsonl": "application/jsonl"}
GRAINS: Sequence[Grain] = ("day", "hour", "month")
EXPORTS: Sequence[tuple[str, Format, Grain]] = (
    ("CSV by day", "csv", "day"),
    ("CSV by hour", "csv", "hour"),
    ("JSON lines by day", "jsonl", "day"),
    ("JSON lines by hour", "jsonl", "hour"),
)


@get("/tenants/{tenant:str}/usage", opt=needs("tenant.look"))
async def show_usage(visit: Visiting, tenant: FromPath[str]) -> Answer:
    """A chart of its days, and the sums by one of day, model and key."""
    filters = _filters(visit.query)
    by = filters.one_of("by", [name for name, _ in VIEWS])
    days: Sequence[UsageRow] = ()
    rows: Sequence[UsageRow] = ()
    async with visit.reading() as session:
        found = await find_tenant(session, tenant)
        start, end = _bounds(filters)
        if filters.ok:
            days = await summarize_usage(session, found.id, start=start, end=end, by="day")
            rows = days if by == "day" else await summarize_usage(session, found.id, start=start, end=end, by=by)
        names = {key.id: key.name for key in await list_keys(session, found.id)} if by == "key" else {}
    total = total_of(days)
    ordered = list(reversed(rows)) if by == "day" else sorted(rows, key=lambda row: (-row.tokens, -row.requests))
    here = tenant_url(found.id, "/usage")
    span = {"from": filters.value("from"), "until": filters.value("until")}
    page = UsagePage(
        head=head_of(visit, found, "/usage"),
        here=here,
        filters=filters,
        spans=_spans(here, span, by),
        chart=day_chart(days, start, end) if days else None,
        total=usage_line(total, total),
        views=tuple(Tab(label, address(here, {**span, "by": name}), name == by) for name, label in VIEWS),
        by=by,
        lines=tuple(
            usage_line(row, total, names.get(row.name, ""), key_url(found.id, row.name) if row.name in names else None)
            for row in ordered[:SHOWN]
        ),
        more=max(len(ordered) - SHOWN, 0),
        exports=tuple(
            Tab(label, address(f"{here}/export", {**span, "format": form, "by": grain}), here=False)
            for label, form, grain in EXPORTS
        ),
    )
    return visit.page(page, status=filters.status)


@get("/tenants/{tenant:str}/usage/export", opt=needs("tenant.look"))
async def export(visit: Visiting, tenant: FromPath[str]) -> Answer:
    """The sums as a file, however long it is."""
    query = visit.query
    form = Form.showing({**_span(query), "format": query.get("format", "csv"), "by": query.get("by", "day")})
    written, grain = form.one_of("format", tuple(MEDIA)), form.one_of("by", GRAINS)
    start, end = _bounds(form)
    if not form.ok:
        raise RequestError(" ".join(f"{name}: {why}" for name, why in form.errors.items()))
    async with visit.reading() as session:
        found = await find_tenant(session, tenant)
    name = f"usage-{start:%Y-%m-%d}-{end - timedelta(days=1):%Y-%m-%d}.{written}"
    pieces = export_usage(visit.services.database, found.id, start=start, end=end, form=written, by=grain)
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Stream(pieces, media_type=MEDIA[written], headers=headers)


def _filters(query: Mapping[str, str]) -> Form:
    return Form.showing({**_span(query), "by": query.get("by", VIEWS[0][0])})


def _span(query: Mapping[str, str]) -> Mapping[str, str]:
    """The days that are asked for, the last ones where nothing is."""
    today = datetime.now(UTC).date()
    first = today - timedelta(days=DAYS - 1)
    return {"from": query.get("from") or f"{first}", "until": query.get("until") or f"{today}"}


def _bounds(form: Form) -> tuple[datetime, datetime]:
    start, end = form.day("from"), form.day("until", end=True)
    if start is not None and end is not None and start >= end:
        form.refuse("until", "This is before the first day.")
    elif start is not None and end is not None and end - start > timedelta(days=MOST_DAYS):
        form.refuse("until", f"At most {MOST_DAYS} days at a time.")
    now = datetime.now(UTC)
    return start or now, end or now


def _spans(here: str, span: Mapping[str, str], by: str) -> Sequence[Tab]:
    today = datetime.now(UTC).date()
    tabs = []
    for label, days in SPANS:
        its = {"from": f"{today - timedelta(days=days - 1)}", "until": f"{today}"}
        tabs.append(Tab(label, address(here, {**its, "by": by}), its == span))
    return tuple(tabs)


ROUTES = (show_usage, export)
