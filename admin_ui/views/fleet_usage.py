"""What all tenants used in a day, a month or a year (UTC), by tenant, model, key and time: from sums alone."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

from litestar import get
from litestar.response import Stream

from admin_ui.access import needs
from admin_ui.charts import Chart
from admin_ui.contexts.tenant import Tab
from admin_ui.contexts.usage import FleetUsageLine, FleetUsagePage
from admin_ui.forms import Form
from admin_ui.heads import key_url, tenant_url
from admin_ui.models import model_url
from admin_ui.navigation import PREFIX
from admin_ui.paging import PAGE, address, page_of
from admin_ui.usage_lines import part_chart, total_of, usage_line
from admin_ui.visit import Answer, Visit, Visiting
from gateway.services.register.keys import key_names
from gateway.services.register.tenants import tenant_names
from gateway.services.usage.fleet import FleetRow, Kind, export_fleet_usage, fleet_parts, fleet_usage_by
from gateway.services.usage.periods import Period, Span
from gateway.services.usage.summary import UsageRow

HERE = f"{PREFIX}/usage"
KINDS: tuple[Kind, ...] = ("tenant", "model", "key")
VIEWS = {"tenant": "By tenant", "model": "By model", "key": "By key", "day": "By day", "month": "By month"}
COLUMNS = {"tenant": "Tenant", "model": "Model", "key": "API key", "day": "Day, UTC", "month": "Month, UTC"}
SPANS: Sequence[tuple[str, Span]] = (("Today", "day"), ("This month", "month"), ("This year", "year"))


@get("/usage", opt=needs("fleet.look"))
async def show_fleet_usage(visit: Visiting) -> Answer:
    """A chart, the sums, and who or what used most."""
    query, today = visit.query, datetime.now(UTC).date()
    filters = Form.showing({"period": _named(visit), "by": query.get("by", KINDS[0]), "q": query.get("q", "")})
    period = _period(filters, today)
    views, current = _views(period), [Period.of(today, span) for _, span in SPANS]
    by, q = filters.one_of("by", views), filters.text("q", optional=True)
    asked = {"period": period.name, "by": by, "q": q}
    parts, rows = await _used(visit, filters, period, by, q)
    total, in_chart = total_of(parts[period]), period if period.parts else period.around
    found, pager = page_of(rows, HERE, {**asked, "after": query.get("after", "")}, position=_position)
    page = FleetUsagePage(
        here=HERE,
        filters=filters,
        period=period.name,
        spans=tuple(_span(one, asked, label, period) for one, (label, _) in zip(current, SPANS, strict=True)),
        before=_span(period.before, asked),
        after=_span(period.after, asked) if period.end <= today else None,
        around=None if period.span == "year" or period.around in current else _span(period.around, asked),
        chart=_chart(in_chart, parts[in_chart]) if parts[period] else None,
        total=usage_line(total, total),
        views=tuple(Tab(VIEWS[name], address(HERE, {**asked, "by": name}), name == by) for name in views),
        by=by,
        column=COLUMNS[by],
        lines=await _lines(visit, period, by, found, total) if by in KINDS else _times(parts[period], asked, total),
        pager=pager,
        unsearched=address(HERE, {"period": period.name, "by": by}),
        export=address(f"{HERE}/export", {"period": period.name}),
    )
    return visit.page(page, status=filters.status)


@get("/usage/export", opt=needs("fleet.look"))
async def export(visit: Visiting) -> Answer:
    """All sums per day of a time as a file, however long it is."""
    period = Period.parse(_named(visit))
    headers = {"content-disposition": f'attachment; filename="usage-{period.name}.csv"'}
    return Stream(export_fleet_usage(visit.services.database, period), media_type="text/csv", headers=headers)


def _named(visit: Visit) -> str:
    """The time that the address names, or this month."""
    return visit.query.get("period", "").strip() or Period.of(datetime.now(UTC).date(), "month").name


def _period(filters: Form, today: date) -> Period:
    """What is asked for; this month where that is none."""
    with filters.catching():
        return Period.parse(filters.value("period"))
    return Period.of(today, "month")


def _views(period: Period) -> Sequence[str]:
    times = {"year": ("month",), "month": ("day",), "day": ()}
    return (*KINDS, *times[period.span])


async def _used(
    visit: Visit, filters: Form, period: Period, by: str, q: str
) -> tuple[Mapping[Period, Sequence[UsageRow]], Sequence[FleetRow]]:
    """What was used in the parts of the period and, for its chart, of what it lies in; and the lines of a page."""
    if not filters.ok:
        return {period: (), period.around: ()}, ()
    kind = next((kind for kind in KINDS if kind == by), None)
    async with visit.reading() as session:
        parts = {period: await fleet_parts(session, period)}
        if not period.parts:
            parts[period.around] = await fleet_parts(session, period.around)
        if kind is None:
            return parts, ()
        after = _after(visit.query.get("after", ""))
        return parts, await fleet_usage_by(session, period, kind, like=q, after=after, limit=PAGE + 1)


def _position(row: FleetRow) -> str:
    return f"{row.used.tokens}~{row.place}"


def _after(text: str) -> tuple[int, str] | None:
    tokens, _, place = text.partition("~")
    return (int(tokens), place) if tokens.isdecimal() and len(tokens) < 19 and place.isprintable() else None


def _span(period: Period, asked: Mapping[str, str], label: str = "", here: Period | None = None) -> Tab:
    by = asked["by"] if asked["by"] in _views(period) else KINDS[0]
    return Tab(label or period.name, address(HERE, {**asked, "period": period.name, "by": by}), period == here)


def _chart(period: Period, parts: Sequence[UsageRow]) -> Chart:
    word = "month" if period.span == "year" else "day"
    return part_chart(f"Tokens by {word} in {period.name}", parts, [part.name for part in period.parts])


def _times(parts: Sequence[UsageRow], asked: Mapping[str, str], total: UsageRow) -> Sequence[FleetUsageLine]:
    """Days or months, the latest first; each leads to itself."""
    return tuple(
        FleetUsageLine(
            usage_line(row, total, row.name, address(HERE, {"period": row.name, "q": asked["q"]})), None, None
        )
        for row in reversed(parts)
    )


async def _lines(
    visit: Visit, period: Period, by: str, rows: Sequence[FleetRow], total: UsageRow
) -> Sequence[FleetUsageLine]:
    async with visit.reading() as session:
        tenants = await tenant_names(session, [row.tenant_id for row in rows if row.tenant_id is not None])
        keys = await key_names(session, [row.used.name for row in rows]) if by == "key" else {}
    span = {"from": f"{period.start}", "until": f"{period.end - timedelta(days=1)}"}
    lines = []
    for row in rows:
        name, owner = row.used.name, row.tenant_id
        its_usage = address(tenant_url(owner, "/usage"), span) if owner is not None and owner in tenants else None
        whose = tenants.get(owner or "", row.tenant_name)
        if by == "model":
            model = visit.services.feed.current.models.get(name)
            line = usage_line(row.used, total, name, None if model is None else model_url(model.id))
        elif by == "tenant":
            line = usage_line(row.used, total, whose, its_usage)
        else:
            url = key_url(owner, name) if owner is not None and name in keys else None
            line = usage_line(row.used, total, keys.get(name, ""), url)
        lines.append(FleetUsageLine(line, whose if by == "key" else None, its_usage if by == "key" else None))
    return tuple(lines)


ROUTES = (show_fleet_usage, export)
