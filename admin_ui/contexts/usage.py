"""What a tenant used, and what all of them did."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from admin_ui.charts import Chart
from admin_ui.contexts.frame import Pager
from admin_ui.contexts.tenant import Tab, TenantHead
from admin_ui.forms import Form


@dataclass(frozen=True, slots=True)
class UsageLine:
    """One day, model or key."""

    name: str
    note: str
    """More of it, such as a key's name."""
    url: str | None
    requests: int
    refused: int
    failed: int
    inputs: int
    tokens: int
    share: float
    """Of all tokens, of one."""
    latency: float
    """Seconds, the mean."""


@dataclass(frozen=True, slots=True)
class UsagePage:
    """A time, its days as a chart, and its sums by one of day, model and key."""

    template: ClassVar[str] = "usage.html"

    head: TenantHead
    here: str
    filters: Form
    spans: Sequence[Tab]
    """Times that are often asked for."""
    chart: Chart | None
    """None: nothing was used."""
    total: UsageLine
    views: Sequence[Tab]
    by: str
    lines: Sequence[UsageLine]
    more: int
    """Lines that are not shown."""
    exports: Sequence[Tab]
    """Files with the same."""


@dataclass(frozen=True, slots=True)
class FleetUsageLine:
    """One tenant, model, key or time, and whose it is."""

    line: UsageLine
    tenant: str | None
    """Whose key it is, by name; None: it is no key."""
    tenant_url: str | None
    """The tenant's own usage; None: it is gone."""


@dataclass(frozen=True, slots=True)
class FleetUsagePage:
    """A day, a month or a year of all tenants: a chart, and the sums by one of tenant, model, key and time."""

    template: ClassVar[str] = "fleet_usage.html"

    here: str
    filters: Form
    period: str
    spans: Sequence[Tab]
    """Today, this month and this year."""
    before: Tab
    after: Tab | None
    """None: it has not begun."""
    around: Tab | None
    """The month of a day, the year of a month; None where `spans` leads there."""
    chart: Chart | None
    """None: nothing was used."""
    total: UsageLine
    views: Sequence[Tab]
    by: str
    column: str
    """What its lines are."""
    lines: Sequence[FleetUsageLine]
    pager: Pager
    unsearched: str
    """The same without a search."""
    export: str
